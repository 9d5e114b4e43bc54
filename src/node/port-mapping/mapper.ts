/** What the two ways to a gateway's port mappings, NAT-PMP and UPnP, have in common. */

/** A port of ours that others should reach. */
export interface Port {
  readonly protocol: 'tcp' | 'udp'
  /** Our address and port on the private network. */
  readonly host: string
  readonly port: number
  /** The gateway's port to ask for: it may give another. */
  readonly external: number
}

export interface MappedPort extends Port {
  /** Seconds that the gateway keeps it; 0: until it is removed. */
  readonly lease: number
}

export interface Mappings {
  /** Where the gateway's mappings are reached, as it says. */
  readonly externalIp: string
  readonly mapped: readonly MappedPort[]
  /** What went wrong with single ports. */
  readonly faults: readonly unknown[]
}

export interface Mapper {
  readonly name: string
  /** Maps those ports whose host faces the gateway. Rejects where no gateway answers, none of them can be mapped, or `signal` aborts. */
  map(ports: readonly Port[], signal: AbortSignal): Promise<Mappings>
  /** Removes mappings; rejects where that fails. */
  unmap(mapped: readonly MappedPort[], signal: AbortSignal): Promise<void>
}
