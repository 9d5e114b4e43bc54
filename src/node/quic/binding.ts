/**
 * The native QUIC of `@chainsafe/libp2p-quic` (quinn, with libp2p's TLS certificates), loaded on demand.
 *
 * Only its binary is used, which comes in a package for each platform; the rest of `@chainsafe/libp2p-quic` is a transport for
 * js-libp2p. The binding proves who the remote is (specs: tls/tls.md) before it hands out a connection.
 */

import { createRequire } from 'node:module'
import { TabmeshError } from '../../errors.ts'

/** What we use of it. Every promise rejects where the connection or the stream is gone. */
export interface QuicBinding {
  readonly QuinnConfig: new (options: QuicConfig) => object
  /** `family` 0 is IPv4 and 1 is IPv6: one UDP socket for all that is dialled from it. */
  readonly Client: new (
    config: object,
    family: 0 | 1,
  ) => QuicClient
  readonly Server: new (config: object, host: string, port: number) => QuicServer
}

/** Sizes in bytes, times in milliseconds. */
export interface QuicConfig {
  readonly privateKeyProto: Uint8Array
  readonly handshakeTimeout: number
  readonly maxIdleTimeout: number
  readonly keepAliveInterval: number
  /** Bidirectional streams that the remote may hold open. */
  readonly maxConcurrentStreamLimit: number
  /** Receive windows of one stream and of a connection. */
  readonly maxStreamData: number
  readonly maxConnectionData: number
  /** Of the UDP socket; the system may grant less. */
  readonly receiveBufferSize: number
  readonly sendBufferSize: number
}

export interface QuicClient {
  outboundConnection(host: string, port: number): Promise<QuicConnection>
  abort(): void
}

export interface QuicServer {
  /** The next connection whose handshake is done. */
  inboundConnection(): Promise<QuicConnection>
  port(): number
  abort(): Promise<void>
}

export interface QuicConnection {
  /** Ends with the proven peer: `/ip4/…/udp/…/quic-v1/p2p/…`. */
  remoteMultiaddr(): string
  /** Milliseconds. */
  rtt(): number
  inboundStream(): Promise<QuicStream>
  outboundStream(): Promise<QuicStream>
  /** Settles when it is over, whoever ended it. */
  closed(): Promise<void>
  abort(): void
}

export interface QuicStream {
  /** At most `max` bytes; null or undefined behind the end. */
  read(max: number): Promise<Uint8Array | null | undefined>
  write(bytes: Uint8Array): Promise<void>
  finishWrite(): Promise<void>
  resetWrite(): Promise<void>
  stopRead(): Promise<void>
}

const PACKAGE = '@chainsafe/libp2p-quic'

/** Throws ERR_UNSUPPORTED where the package is not installed or has no binary for this platform. */
export const loadQuic = (): QuicBinding => {
  const { platform, arch } = process
  const c = platform === 'linux' ? (musl() ? '-musl' : '-gnu') : platform === 'win32' ? '-msvc' : ''
  const name = `${PACKAGE}-${platform}-${arch}${c}`
  try {
    // Beside the package that brought it, where a package manager keeps each one's dependencies apart.
    return createRequire(import.meta.resolve(PACKAGE))(name) as QuicBinding
  } catch (cause) {
    throw new TabmeshError('ERR_UNSUPPORTED', `QUIC needs the package ${PACKAGE}, and its binary ${name}: npm install ${PACKAGE}`, {
      cause,
    })
  }
}

/** Whether this Linux has musl for its C library: glibc tells its version. */
const musl = (): boolean =>
  (process.report.getReport() as { header?: { glibcVersionRuntime?: string } }).header?.glibcVersionRuntime === undefined
