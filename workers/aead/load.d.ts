/**
 * The SIMD WebAssembly module (assembly/) as the engine's `Aead`: ChaCha20-Poly1305 (RFC 8439 §2.8).
 *
 * Compiled and instantiated synchronously, about 1 ms, in workers, Node and pages (Chromium's main thread refuses only
 * modules over 8 MB). Text goes straight into the module's memory and from there straight into the caller's buffer: one
 * copy in, one copy out.
 *
 * Bounds: 65,519 bytes of plaintext (one Noise message), 1,024 of associated data; one instance is 128 KiB.
 */
import type { Aead } from '../../src/engine/crypto/aead.ts'
/**
 * A new instance, or undefined where WebAssembly or its SIMD instructions are refused: a content security policy
 * without `wasm-unsafe-eval`, Safari in lockdown mode, an old engine. `nobleAead` takes its place there.
 */
export declare const instantiateAead: () => Aead | undefined
