/**
 * `/plaintext/2.0.0`, for tests alone: https://github.com/libp2p/specs/blob/master/plaintext/README.md
 *
 *   each side at once:  uvarint length ‖ Exchange { id, pubkey }          then whatever follows, as it is
 *
 * It protects nothing and proves nothing: no node of ours may offer it, and no file of dist/ has its name in it
 * (scripts/check-package.mjs).
 */

import { remoteFault } from '../../errors.ts'
import { equalBytes } from '../codec/bytes.ts'
import { decodePublicKey } from '../codec/keys.ts'
import { type PeerId, peerIdFromKey, peerIdToBytes } from '../codec/peer-id.ts'
import { bytes, message } from '../codec/protobuf.ts'
import type { Host } from '../host.ts'
import type { Security } from '../net/upgrade.ts'
import { type Conversation, converse, write } from '../wire/conversation.ts'
import { readFrame } from '../wire/frame.ts'
import { gathering } from './muxer-sides.ts'

export const PLAINTEXT = '/plaintext/2.0.0'

const Exchange = message({ id: bytes(1), pubkey: bytes(2) })

/** An RSA key of 8192 bits, and its id. */
const MAX_EXCHANGE = 4_096

/** The security of a node whose host is `host`. */
export const plaintext = (host: Host): Security => ({
  protocol: PLAINTEXT,
  secure: (channel, { expectedPeer, timeout }, done) =>
    converse(channel, exchange(host, expectedPeer), host, {
      timeout,
      what: 'exchanging identities in plain text',
      done: (outcome) =>
        done(outcome.ok ? { ok: true, value: { channel: gathering(channel), remotePeer: outcome.value, muxer: undefined } } : outcome),
    }),
})

function* exchange({ publicKey }: Host, expectedPeer: PeerId | undefined): Conversation<PeerId> {
  yield* write(Exchange.frame({ id: peerIdToBytes(peerIdFromKey(publicKey)), pubkey: publicKey.encoded }))
  const { id, pubkey } = Exchange.decode(yield* readFrame(MAX_EXCHANGE))
  if (id === undefined || pubkey === undefined) throw remoteFault('ERR_ENCRYPTION_FAILED', 'plaintext: an exchange without id or key')
  const remotePeer = peerIdFromKey(decodePublicKey(pubkey))
  if (!equalBytes(id, peerIdToBytes(remotePeer))) throw remoteFault('ERR_PEER_ID_MISMATCH', 'plaintext: the id is not that of the key')
  if (expectedPeer !== undefined && expectedPeer !== remotePeer)
    throw remoteFault('ERR_PEER_ID_MISMATCH', `dialled ${expectedPeer}, found ${remotePeer}`)
  return remotePeer
}
