/**
 * The service that tests talk to: `/echo/1` sends back every byte.
 */

import type { ProtocolOptions, Service } from '../net/service.ts'

export const echo = (options: ProtocolOptions = {}): Service => ({
  name: 'echo',
  protocols: { '/echo/1': options },
  onStream(stream) {
    stream.attach({
      onData(bytes) {
        const { length } = bytes
        stream.write(bytes)
        stream.release(length)
      },
      onEnd: () => stream.end(),
      onClose: () => {},
    })
  },
})
