/**
 * Which ICE servers a peer connection uses: those that the application named, and the STUN of its relays, unless it named STUN of its own or an
 * empty list. So a TURN server does not take the place of the relays' STUN, and who wants nobody asked can have that.
 */

export interface NamedServers {
  readonly iceServers?: readonly { readonly urls: string | readonly string[] }[]
}

/** `learnt` are `stun:` URLs. The configuration itself where there is nothing to add. */
export const withStun = <T extends NamedServers>(configuration: T, learnt: readonly string[]): T => {
  const named = configuration.iceServers
  if (learnt.length === 0 || named?.length === 0) return configuration
  const hasStun = named?.some(({ urls }) => [urls].flat().some((url) => /^stuns?:/i.test(url))) === true
  return hasStun ? configuration : { ...configuration, iceServers: [...(named ?? []), { urls: [...learnt] }] }
}
