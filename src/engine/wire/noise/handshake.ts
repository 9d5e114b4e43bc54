/**
 * Noise as libp2p runs it: Noise_XX_25519_ChaChaPoly_SHA256 with both identities in its payloads.
 * https://github.com/libp2p/specs/blob/master/noise/README.md
 *
 *   initiator                                            responder
 *      │── 1  e ────────────────────────────────────────────▶│
 *      │◀─ 2  e, ee, s, es   payload: identity, extensions ──│   initiator: who is it? only then does it say who it is
 *      │── 3  s, se          payload: identity, extensions ─▶│   responder: who is it?
 *   session                                               session
 *
 * Every message has its length in front, in two bytes, big-endian. The extensions settle the muxer, which saves its
 * negotiation (specs: connections/inlined-muxer-negotiation.md): the first of the initiator's list that the responder
 * has. A side without the extension (rust) means that multistream settles it afterwards.
 *
 * Bounds. One message of at most 64 KiB at a time; see payload.ts for what is in it. The deadline is the caller's.
 */

import { remoteFault } from '../../../errors.ts'
import { emptyBytes } from '../../codec/bytes.ts'
import type { PublicKey } from '../../codec/keys.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Aead } from '../../crypto/aead.ts'
import type { X25519KeyPair } from '../../crypto/x25519.ts'
import type { Host } from '../../host.ts'
import type { Conversation } from '../conversation.ts'
import { keyPair, read, sign, write } from '../conversation.ts'
import type { CipherState } from './handshake-state.ts'
import { HandshakeState } from './handshake-state.ts'
import type { Introduction } from './payload.ts'
import { checkPayload, encodePayload, signedStaticKey } from './payload.ts'

/** One per node, for all its handshakes: the identity key then signs once. */
export interface NoiseStaticKey {
  pair?: X25519KeyPair
  /** Kept once made: it is the same for every handshake. */
  signed?: { readonly identity: PublicKey; readonly signature: Uint8Array }
}

export const makeStaticKey = (): NoiseStaticKey => ({})

/** Makes the pair and signs it ahead of the first handshake, which then need not wait for either. */
export const prepare = (staticKey: NoiseStaticKey, host: Pick<Host, 'publicKey' | 'sign' | 'x25519'>): void => {
  host.x25519.generate((made) => {
    staticKey.pair ??= made
    host.sign(signedStaticKey(staticKey.pair.publicKey), (signature) => {
      if (signature instanceof Uint8Array) staticKey.signed ??= { identity: host.publicKey, signature }
    })
  })
}

export interface NoiseOptions {
  readonly aead: Aead
  readonly identity: PublicKey
  readonly staticKey: NoiseStaticKey
  /** The peer that must answer; any if absent. */
  readonly expectedPeer?: PeerId
  /** Muxers to settle on, the best first; none leaves it to multistream. */
  readonly muxers: readonly string[]
  /** What both sides must agree on besides; empty but for WebRTC-direct. */
  readonly prologue?: Uint8Array
  /** Of a WebTransport server: the multihashes of its certificates. */
  readonly certhashes?: readonly Uint8Array[]
}

export interface NoiseSession {
  readonly remotePeer: PeerId
  readonly remoteKey: PublicKey
  /** Undefined where multistream is to settle it. */
  readonly muxer: string | undefined
  /** What a WebTransport server said of its certificates. */
  readonly certhashes: readonly Uint8Array[]
  readonly send: CipherState
  readonly receive: CipherState
  /** The same on both sides and in no other session (Noise §11.2). */
  readonly handshakeHash: Uint8Array
}

/** Fails with ERR_PEER_ID_MISMATCH, ERR_NO_MUXER or, for all else that does not hold, ERR_ENCRYPTION_FAILED. */
export function* initiateNoise(options: NoiseOptions): Conversation<NoiseSession> {
  const handshake = yield* begin(options, true)
  yield* writeMessage(yield* handshake.write(emptyBytes))
  // Signed, if it has to be, while the remote works.
  const payload = yield* ownPayload(options)

  const remotePayload = yield* handshake.read(yield* readMessage())
  const remote = yield* checkPayload(remotePayload, handshake.remoteStatic, options.expectedPeer)
  const muxer = settleMuxer(options.muxers, remote.extensions.muxers)

  yield* writeMessage(yield* handshake.write(payload))
  return session(remote, muxer, handshake)
}

/** The other side; fails with the same codes. */
export function* respondNoise(options: NoiseOptions): Conversation<NoiseSession> {
  const handshake = yield* begin(options, false)
  const payload = yield* ownPayload(options)

  // Nobody should send a payload in message 1; it is part of the transcript and otherwise ignored.
  yield* handshake.read(yield* readMessage())
  yield* writeMessage(yield* handshake.write(payload))

  const remotePayload = yield* handshake.read(yield* readMessage())
  const remote = yield* checkPayload(remotePayload, handshake.remoteStatic, options.expectedPeer)
  const muxer = settleMuxer(remote.extensions.muxers, options.muxers)
  return session(remote, muxer, handshake)
}

function* begin({ aead, staticKey, prologue }: NoiseOptions, initiator: boolean): Conversation<HandshakeState> {
  const ephemeral = yield* keyPair()
  const own = yield* pairOf(staticKey)
  return new HandshakeState(aead, { initiator, staticKey: own, ephemeral, prologue: prologue ?? emptyBytes })
}

/** The node's static pair, made by the first handshake that comes before `prepare` is done. */
function* pairOf(staticKey: NoiseStaticKey): Conversation<X25519KeyPair> {
  if (staticKey.pair !== undefined) return staticKey.pair
  const made = yield* keyPair()
  staticKey.pair ??= made
  return staticKey.pair
}

function* ownPayload({ identity, staticKey, muxers, certhashes }: NoiseOptions): Conversation<Uint8Array> {
  if (staticKey.signed?.identity !== identity) {
    const { publicKey } = yield* pairOf(staticKey)
    staticKey.signed = { identity, signature: yield* sign(signedStaticKey(publicKey)) }
  }
  return encodePayload(identity, staticKey.signed.signature, { muxers, certhashes: certhashes ?? [] })
}

/** The first of the initiator's that the responder has; undefined where one of them lists none. */
const settleMuxer = (initiator: readonly string[], responder: readonly string[]): string | undefined => {
  if (initiator.length === 0 || responder.length === 0) return undefined
  const muxer = initiator.find((name) => responder.includes(name))
  if (muxer === undefined) throw remoteFault('ERR_NO_MUXER', 'noise: no muxer is on both lists')
  return muxer
}

const session = (remote: Introduction, muxer: string | undefined, handshake: HandshakeState): NoiseSession => ({
  remotePeer: remote.peer,
  remoteKey: remote.key,
  muxer,
  certhashes: remote.extensions.certhashes,
  ...handshake.split(),
  handshakeHash: handshake.hash,
})

function* writeMessage(message: Uint8Array): Conversation<void> {
  const framed = new Uint8Array(2 + message.length)
  framed[0] = message.length >>> 8
  framed[1] = message.length
  framed.set(message, 2)
  yield* write(framed)
}

function* readMessage(): Conversation<Uint8Array> {
  const prefix = yield* read(2)
  return yield* read(((prefix[0] as number) << 8) | (prefix[1] as number))
}
