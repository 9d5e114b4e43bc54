import { describe, expect, it } from 'vitest'
import { defaultGateway, gatewayInPrint, gatewayInTable } from './default-gateway.ts'

/** As Linux prints /proc/net/route on a machine with Wi-Fi and a cable. */
const table = [
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
  'wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
  'eth0\t00000000\tFE01A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
  'eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0',
  '',
]

describe('the default gateway', () => {
  it('is the one with the least metric, on Linux', () => {
    expect(gatewayInTable(table.join('\n'))).toBe('192.168.1.254')
  })

  it('is none where no route leads everywhere through a gateway', () => {
    expect(gatewayInTable(table.slice(3).join('\n'))).toBeUndefined()
    expect(gatewayInTable('tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0')).toBeUndefined()
    expect(gatewayInTable('')).toBeUndefined()
  })

  it('is read from what netstat prints on macOS and Windows', () => {
    expect(
      gatewayInPrint(
        'Internet:\nDestination  Gateway      Flags  Netif\ndefault      link#12      UCSg   utun3\ndefault      192.168.1.1  UGScg  en0\n',
      ),
    ).toBe('192.168.1.1')
    expect(gatewayInPrint('Active Routes:\n          0.0.0.0          0.0.0.0      192.168.0.1    192.168.0.55     25\r\n')).toBe(
      '192.168.0.1',
    )
    expect(gatewayInPrint('          0.0.0.0          0.0.0.0         On-link    10.0.0.5     25\r\n')).toBeUndefined()
  })

  it('is looked for here without a fault', async () => {
    const found = await defaultGateway(new AbortController().signal)
    expect(found ?? '0.0.0.0').toMatch(/^\d+\.\d+\.\d+\.\d+$/)
  })
})
