/** The IPv4 gateway that this machine's default route leads to: the kernel's table on Linux, what `netstat -rn` prints elsewhere. */

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { formatIp4, parseIp4 } from '../../engine/codec/ip.ts'

const run = promisify(execFile)
const NETSTAT_TIMEOUT = 2_000
const NETSTAT_MAX_BYTES = 1024 * 1024

/** Undefined where there is none, or none can be found out. */
export const defaultGateway = async (signal: AbortSignal): Promise<string | undefined> => {
  if (process.platform === 'linux') return gatewayInTable(await readFile('/proc/net/route', 'utf8').catch(() => ''))
  const { stdout } = await run('netstat', ['-rn'], { signal, timeout: NETSTAT_TIMEOUT, maxBuffer: NETSTAT_MAX_BYTES }).catch(() => ({
    stdout: '',
  }))
  return gatewayInPrint(stdout)
}

/** Linux: columns Iface, Destination, Gateway, Flags, RefCnt, Use, Metric, Mask, …; addresses in hexadecimal, as they lie in memory. */
export const gatewayInTable = (table: string): string | undefined => {
  const routes = table.split('\n').flatMap((line) => {
    const [, destination, gateway = '', , , , metric, mask] = line.split('\t')
    return destination === '00000000' && mask === '00000000' && /^[\da-f]{8}$/i.test(gateway) && gateway !== '00000000'
      ? [{ gateway, metric: Number(metric) }]
      : []
  })
  const [best] = routes.sort((a, b) => a.metric - b.metric)
  // Little-endian, as every machine is that Node runs on but s390x.
  return best && formatIp4(Uint8Array.from(Buffer.from(best.gateway, 'hex')).reverse())
}

/** macOS, BSD: `default  192.168.1.1  UGScg  en0`. Windows: `0.0.0.0  0.0.0.0  192.168.1.1  192.168.1.10  25`. */
export const gatewayInPrint = (print: string): string | undefined => {
  for (const line of print.split('\n')) {
    const [destination, ...rest] = line.trim().split(/\s+/)
    const gateway = destination === 'default' ? rest[0] : destination === '0.0.0.0' && rest[0] === '0.0.0.0' ? rest[1] : undefined
    if (gateway !== undefined && parseIp4(gateway) !== undefined) return gateway
  }
  return undefined
}
