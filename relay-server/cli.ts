/**
 * `tabmesh-relay`: the relay as a command.
 *
 * stdout says, once it is ready, where it is: for people, or with --json one line of JSON and nothing else. What happens
 * later is logged on stderr, as lines of text or of JSON. SIGTERM and SIGINT drain and exit 0; a second one exits at once. What
 * keeps it from starting is one line on stderr and exit 1.
 */

import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import packageJson from '../package.json' with { type: 'json' }
import type { NetEvent } from '../src/engine/net/service.ts'
import { errorCodes, TabmeshError } from '../src/errors.ts'
import { defaultData, parseSettings, type RelaySettings, relayConfig } from './config.ts'
import { createPeerLine } from './http.ts'
import { type Relay, startRelay } from './relay.ts'

const help = `tabmesh-relay ${packageJson.version}: lets browser tabs find and reach each other

  tabmesh-relay [flags]

  --listen MULTIADDR         where to listen; repeatable (/ip4/0.0.0.0/tcp/9090/ws)
  --announce MULTIADDR       what to tell others instead of this machine's addresses; repeatable
  --data DIR                 where the identity key is kept (${defaultData()})
  --config FILE              JSON with any of these settings: listen, announce, data, maxConnections, maxReservations,
                             reservationDuration, maxCircuits, maxCircuitsPerPeer, circuitDuration, circuitBytes, trustProxy,
                             stun, stunPort, autonat, autonatPrivate, rendezvous, maxRegistrations, maxRegistrationsPerPeer,
                             minRegistrationDuration, listNamespaces, dht, dhtProtocol, dhtNetwork, bootstrap
  --max-reservations N       peers that are reachable through it at a time (1024)
  --max-circuits N           circuits at a time (4096)
  --circuit-duration SECONDS what one circuit may last (no limit)
  --circuit-bytes BYTES      what one circuit may carry each way (no limit)
  --stun-port PORT           UDP port where STUN is answered (the number of the first listener)
  --no-stun                  do not answer STUN: pages then find direct paths only on their own network, or by servers they name
  --no-autonat               do not dial peers to tell them whether they can be reached
  --no-rendezvous            do not let peers register under a name, nor find each other by it
  --dht                      be a server of the DHT too: answer others, and keep records for them
  --dht-protocol ID          of a DHT of your own (/ipfs/kad/1.0.0)
  --bootstrap MULTIADDR      a peer of the DHT to begin with; repeatable
  --json                     one line of JSON on stdout when it is ready, JSON lines on stderr after that
  --verbose                  logs every connection too
  --help, --version

A page is served over https? Then put a proxy with a certificate in front and say so:
  tabmesh-relay --listen /ip4/127.0.0.1/tcp/9090/ws --announce /dns4/relay.example/tcp/443/tls/ws
`

const flags = {
  listen: { type: 'string', multiple: true },
  announce: { type: 'string', multiple: true },
  config: { type: 'string' },
  data: { type: 'string' },
  'max-reservations': { type: 'string' },
  'max-circuits': { type: 'string' },
  'circuit-duration': { type: 'string' },
  'circuit-bytes': { type: 'string' },
  'stun-port': { type: 'string' },
  'no-stun': { type: 'boolean' },
  'no-autonat': { type: 'boolean' },
  'no-rendezvous': { type: 'boolean' },
  dht: { type: 'boolean' },
  'dht-protocol': { type: 'string' },
  bootstrap: { type: 'string', multiple: true },
  json: { type: 'boolean', default: false },
  verbose: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
  version: { type: 'boolean', short: 'v', default: false },
} as const

type Log = (event: string, details?: Readonly<Record<string, unknown>>) => void

const main = async (): Promise<void> => {
  const { values } = parseArgs({ options: flags, allowPositionals: false })
  if (values.help) return void process.stdout.write(help)
  if (values.version) return void process.stdout.write(`${packageJson.version}\n`)
  const log = values.json ? jsonLog : textLog
  const config = relayConfig({ data: defaultData() }, await settingsIn(values.config), {
    listen: values.listen,
    announce: values.announce,
    data: values.data,
    maxReservations: values['max-reservations'],
    maxCircuits: values['max-circuits'],
    circuitDuration: values['circuit-duration'],
    circuitBytes: values['circuit-bytes'],
    stunPort: values['stun-port'],
    stun: values['no-stun'] === true ? false : undefined,
    autonat: values['no-autonat'] === true ? false : undefined,
    rendezvous: values['no-rendezvous'] === true ? false : undefined,
    dht: values.dht,
    dhtProtocol: values['dht-protocol'],
    bootstrap: values.bootstrap,
  })
  const relay = await startRelay(config, (event) => logEvent(log, event, values.verbose))
  stopOnSignals(relay, log)
  process.stdout.write(
    values.json ? `${JSON.stringify({ peerId: relay.peerId, addresses: relay.addresses, http: relay.http })}\n` : greeting(relay),
  )
}

/** A relative path in the file is meant from where the file is. */
const settingsIn = async (file: string | undefined): Promise<RelaySettings> => {
  if (file === undefined) return {}
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `--config ${file}: ${error.message}`, { cause: error })
  })
  const settings = parseSettings(text, file)
  return typeof settings.data === 'string' && settings.data !== '' ? { ...settings, data: resolve(dirname(file), settings.data) } : settings
}

const greeting = ({ peerId, addresses, http, url }: Relay): string => `tabmesh relay ${peerId}

Listening at
${addresses.map((address) => `  ${address}`).join('\n')}
  ${http}/ (status page)

In a page:
  ${createPeerLine(url)}
`

const stopOnSignals = (relay: Relay, log: Log): void => {
  let stopping = false
  const onSignal = (signal: string): void => {
    if (stopping) process.exit(1)
    stopping = true
    log('stopping', { signal })
    const { connections } = relay.status()
    relay.stop().then(
      () => {
        log('stopped', { connections })
        process.exit(0)
      },
      (error) => fail(error),
    )
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

const logEvent = (log: Log, event: NetEvent, verbose: boolean): void => {
  if (event.t === 'error') log('error', { code: event.error.code, message: event.error.message })
  if (!verbose) return
  if (event.t === 'connection:open')
    log(event.t, { id: event.connection.id, peer: event.connection.remotePeer, from: event.connection.remoteAddr.text })
  if (event.t === 'connection:close')
    log(event.t, { id: event.connection.id, peer: event.connection.remotePeer, fault: event.fault?.message })
}

const jsonLog: Log = (event, details) => {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...details })}\n`)
}

const textLog: Log = (event, details = {}) => {
  const said = Object.entries(details).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]))
  process.stderr.write(`${[event, ...said].join('  ')}\n`)
}

/** One line that says what to do; a defect of ours shows where it is. */
const fail = (error: unknown): never => {
  process.stderr.write(`tabmesh-relay: ${explain(error)}\n`)
  process.exit(1)
}

const explain = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  // What parseArgs throws.
  if ('code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) return `${error.message.split(/[.\n]/)[0]}; see --help`
  if (!(error instanceof TabmeshError)) return error.stack ?? error.message
  // The way out of a wrong argument is not in the documentation of a call here.
  return error.message.replace(`: ${errorCodes.ERR_INVALID_ARGUMENT}`, '; see --help')
}

main().catch(fail)
