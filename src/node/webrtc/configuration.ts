/** `RTCConfiguration` as libdatachannel takes it. */

import { TabmeshError } from '../../errors.ts'
import type { IceServer } from './binding.ts'

export interface PeerConfiguration {
  readonly iceServers: readonly IceServer[]
  readonly iceTransportPolicy: 'all' | 'relay'
}

/** ICE servers as `RTCConfiguration` writes them. Throws ERR_INVALID_ARGUMENT. */
export const readConfiguration = ({ iceServers = [], iceTransportPolicy = 'all' }: RtcConfiguration): PeerConfiguration => ({
  iceServers: iceServers.flatMap(({ urls, username, credential }) => [urls].flat().flatMap((url) => readServer(url, username, credential))),
  iceTransportPolicy,
})

/** The part of `RTCConfiguration` that there is in Node. */
export interface RtcConfiguration {
  readonly iceServers?: readonly { readonly urls: string | readonly string[]; readonly username?: string; readonly credential?: string }[]
  readonly iceTransportPolicy?: 'all' | 'relay'
}

/** RFC 7064, RFC 7065. libjuice speaks TURN over UDP alone: other servers are left out. */
const readServer = (url: string, username: string | undefined, credential: string | undefined): IceServer[] => {
  const read = /^(stuns?|turns?):(\[[\da-f:.]+\]|[^:?[\]]+)(?::(\d+))?(?:\?transport=(udp|tcp))?$/i.exec(url)
  const [, scheme = '', host = '', port, transport = 'udp'] = read ?? []
  if (read === null) throw new TabmeshError('ERR_INVALID_ARGUMENT', `${url} is no URL of an ICE server`)
  const server = { hostname: host.replace(/^\[|\]$/g, ''), port: Number(port ?? 3478) }
  if (scheme.toLowerCase() === 'stun') return [server]
  if (scheme.toLowerCase() !== 'turn' || transport.toLowerCase() !== 'udp') return []
  if (username === undefined || credential === undefined)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `${url} needs \`username\` and \`credential\``)
  return [{ ...server, username, password: credential, relayType: 'TurnUdp' }]
}
