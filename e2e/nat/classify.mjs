// How a NAT shows itself: binding requests (RFC 8489) from one socket to each given place, as JSON of the outer ports.
//
//   node classify.mjs 10.0.0.1:9090 10.0.0.2:9090

import { createSocket } from 'node:dgram'

const TIMEOUT = 1_000
const socket = createSocket('udp4')
await new Promise((done) => socket.bind(0, () => done(undefined)))
const ports = []
for (const place of process.argv.slice(2)) {
  const [host, port] = place.split(':')
  const answer = new Promise((done) => {
    socket.once('message', (datagram) => done(datagram.readUInt16BE(26) ^ 0x2112))
    setTimeout(() => done(undefined), TIMEOUT)
  })
  socket.send(Buffer.from('000100002112a442000102030405060708090a0b', 'hex'), Number(port), host)
  ports.push(await answer)
}
console.log(JSON.stringify(ports))
socket.close()
