/** Named by the public options (src/types.ts), which a worker sees only the rest of. */
interface RTCConfiguration {
  readonly iceServers?: readonly unknown[]
}
