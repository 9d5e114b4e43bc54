/**
 * TLS 1.3 as libp2p uses it (https://github.com/libp2p/specs/blob/master/tls/tls.md), by OpenSSL, over any channel.
 *
 *   channel ─ Duplex ─ TLSSocket:  handshake ──▶ verifying ──▶ secured          in one task: nothing is read before the remote is verified
 *                                      │             │
 *                                      └─────────────┴──▶ failed: the channel is aborted
 *
 * Both sides show a certificate of their own making; ALPN names the multiplexer, or `libp2p` where multistream is to settle it
 * (connections/inlined-muxer-negotiation.md). No SNI, no tickets, nothing older than 1.3. In TLS 1.3 a client is done before the server
 * has looked at its certificate: what the server refuses reaches the client as the end of a connection it had.
 *
 * Bounds: the caller's deadline; TLS_MAX_HANDSHAKE bytes kept until it is over; those of the channel and the socket after that.
 */

import { constants } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { PrivateKey } from '../../engine/codec/keys.ts'
import type { Secured, SecureOptions, Security } from '../../engine/net/upgrade.ts'
import { asTabmeshError, remoteFault, TabmeshError } from '../../errors.ts'
import { SocketChannel } from '../socket-channel.ts'
import { peerCertificate, verifyCertificate } from './certificate.ts'
import { duplexOf } from './channel-duplex.ts'
import { CIPHERS, HandshakeRecord } from './handshake-record.ts'

export const TLS = '/tls/1.0.0'

/** tls.md, ALPN: what a peer offers that leaves the multiplexer to multistream. */
const LIBP2P = 'libp2p'

/** TLS for the peer whose key is `identity`. The certificate is made here, once. */
export const tlsSecurity = (identity: PrivateKey): Security => {
  const { pem, keyPem } = peerCertificate(identity, Date.now())
  return tlsSecurityWith(
    createSecureContext({
      key: keyPem,
      cert: pem,
      // No authority is asked: Node's own would be read from disk, and named to every client.
      ca: [],
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      ciphers: CIPHERS,
      secureOptions: constants.SSL_OP_NO_TICKET,
    }),
  )
}

/** The same with what the caller would show; for tests that show what they must not. */
export const tlsSecurityWith = (secureContext: SecureContext): Security => ({
  protocol: TLS,
  secure(channel, options, done) {
    const received = new HandshakeRecord()
    let secret: Buffer | undefined
    let settled = false
    let above: SocketChannel | undefined
    /** What the channel is aborted with when the socket goes first. */
    let reason = new TabmeshError('ERR_CONNECTION_CLOSED', 'TLS was given up')

    const fail = (fault: TabmeshError): void => {
      if (settled) return
      settled = true
      clearTimeout(timer)
      // The outcome first, as in a conversation; then the channel, and the socket with it.
      done({ ok: false, fault })
      channel.abort(fault)
      stream.destroy()
    }

    const { stream, start } = duplexOf(channel, {
      onData(bytes) {
        if (!settled) received.keep(bytes)
      },
      onClose(fault) {
        if (above === undefined) fail(fault ?? cutShort())
        else if (fault === undefined) above.end()
        else above.abort(fault)
      },
      reason: () => reason,
    })
    const socket = options.role === 'dialer' ? dialing(stream, secureContext, options) : answering(stream, secureContext, options)
    const timer = setTimeout(() => fail(new TabmeshError('ERR_TIMEOUT', `no TLS handshake within ${options.timeout} ms`)), options.timeout)

    const failed = (error: Error): void => fail(faultOf(error))
    const closed = (): void => fail(cutShort())
    socket.on('error', failed)
    socket.on('close', closed)
    stream.once('end', () => {
      if (above === undefined) closed()
    })
    socket.on('keylog', (line: Buffer) => {
      const [label, , hex = ''] = line.toString('latin1').trim().split(' ')
      if (label === remoteSecret[options.role]) secret = Buffer.from(hex, 'hex')
    })
    socket.once('secure', () => {
      if (settled) return
      let secured: Secured
      try {
        secured = { ...verified(socket, received.countCertificates(socket.getCipher().standardName, secret), options), channel: take() }
      } catch (error) {
        return fail(asTabmeshError(error, 'ERR_INTERNAL', 'verifying a TLS remote'))
      }
      settled = true
      clearTimeout(timer)
      done({ ok: true, value: secured })
    })

    /** The socket is the channel's from here on. */
    const take = (): SocketChannel => {
      above = new SocketChannel(socket, {
        drop(_socket, fault) {
          reason = fault
          socket.destroy()
          channel.abort(fault)
        },
        faultOf,
      })
      socket.off('error', failed)
      socket.off('close', closed)
      socket.removeAllListeners('keylog')
      return above
    }
    start()
    return fail
  },
})

const dialing = (socket: Duplex, secureContext: SecureContext, { muxers }: SecureOptions): TLSSocket =>
  connect({ socket, secureContext, rejectUnauthorized: false, checkServerIdentity: () => undefined, ALPNProtocols: [...muxers, LIBP2P] })

const answering = (socket: Duplex, secureContext: SecureContext, { muxers }: SecureOptions): TLSSocket =>
  new TLSSocket(socket, {
    isServer: true,
    secureContext,
    requestCert: true,
    rejectUnauthorized: false,
    // The first of the client's that we have too; with none OpenSSL ends the handshake.
    ALPNCallback: ({ protocols }) => protocols.find((each) => each === LIBP2P || muxers.includes(each)),
  })

/** How OpenSSL logs the secret that the remote's half of the handshake is sealed with. */
const remoteSecret = { dialer: 'SERVER_HANDSHAKE_TRAFFIC_SECRET', listener: 'CLIENT_HANDSHAKE_TRAFFIC_SECRET' } as const

/** Who the remote is, once the handshake has shown that it holds the key of its certificate. Throws what it is refused for. */
const verified = (socket: TLSSocket, certificates: number, { expectedPeer, muxers }: SecureOptions): Omit<Secured, 'channel'> => {
  if (socket.isSessionReused()) throw remoteFault('ERR_ENCRYPTION_FAILED', 'the remote resumed a TLS session, which proves nothing')
  const certificate = socket.getPeerX509Certificate()?.raw
  if (certificate === undefined || certificates === 0) throw remoteFault('ERR_CERTIFICATE', 'the remote shows no certificate')
  if (certificates > 1) throw remoteFault('ERR_CERTIFICATE', `the remote shows ${certificates} certificates, and may show one`)
  const remotePeer = verifyCertificate(new Uint8Array(certificate), expectedPeer, Date.now())
  return { remotePeer, muxer: muxers.find((each) => each === socket.alpnProtocol) }
}

const cutShort = (): TabmeshError => remoteFault('ERR_CONNECTION_CLOSED', 'the remote closed the connection within the TLS handshake')

/** OpenSSL's reason is as good as an explanation gets: `tlsv13 alert certificate required`, `unsupported protocol`. */
const faultOf = (error: NodeJS.ErrnoException & { readonly reason?: string }): TabmeshError => {
  if (!(error.code ?? '').startsWith('ERR_SSL_'))
    return new TabmeshError('ERR_CONNECTION_CLOSED', `TLS broke (${error.message})`, { cause: error })
  return remoteFault('ERR_ENCRYPTION_FAILED', `TLS failed (${error.reason ?? error.code})`, error)
}
