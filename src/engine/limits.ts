/**
 * Every limit of the engine, each with its reason. What is refused, and when, is decided here and nowhere else.
 * Sizes are bytes and times milliseconds unless the name says otherwise.
 */

const KiB = 1024
const MiB = 1024 * KiB

// ── codecs ───────────────────────────────────────────────────────────────────────────────────────────────────────
/** A relayed WebTransport address with two certhashes takes 250; an http-path may be long. go has no bound, frames do. */
export const MULTIADDR_MAX_BYTES = 2 * KiB

// ── multistream-select ───────────────────────────────────────────────────────────────────────────────────────────
/** go and js refuse longer lines; a protocol name is a path, not a document. */
export const MSS_MAX_LINE = 1024
/** A remote that proposes more than this is not negotiating. */
export const MSS_MAX_ROUNDS = 64
/** js gives 10 s, go 15: the shorter one fails before the remote does, with our message. */
export const MSS_TIMEOUT = 10_000

// ── upgrade and dial ─────────────────────────────────────────────────────────────────────────────────────────────
/** Security and muxer together. */
export const UPGRADE_TIMEOUT = 10_000
/** One dial, all its addresses. */
export const DIAL_TIMEOUT = 30_000
/** One address of a dial: the socket and the upgrade. */
export const DIAL_ADDRESS_TIMEOUT = 10_000
/** Addresses tried for one peer: more is a flood, not a choice. */
export const DIAL_MAX_ADDRESSES = 25
/** One address is tried alone this long before the next one starts beside it (Happy Eyeballs, RFC 8305 §5). */
export const DIAL_HEAD_START = 250
/** The same where both addresses are on this machine or its network: some round trips there (go: 30 ms). */
export const DIAL_HEAD_START_NEAR = 30
/** How long the direct ways have before one through a relay is tried beside them (go: 500 ms). */
export const DIAL_RELAY_DELAY = 500
/** Addresses of one dial that are tried at a time (go: 8): with more, the remote's own door is crowded by one caller. */
export const DIAL_MAX_PARALLEL = 8
/** Of DIAL_MAX_ADDRESSES, kept for ways through a relay: two dozen dead direct addresses must not push out the one that works. */
export const DIAL_KEPT_RELAYED = 5
/** Sockets being opened, all dials together (js in a page: 50). Browsers stop at 255 WebSockets, and a NAT forgets others for a flood. */
export const DIAL_MAX_SOCKETS = 64
/**
 * How long an open relayed connection waits for the direct one that is negotiated over it before a dial is answered with it: ICE
 * between two home networks takes under 2 s, and where it can't succeed 15 to 40 s.
 */
export const RELAY_SETTLE = 2_500
/** An address that failed once is left alone this long, and at most that long however often it fails (go). */
export const BACK_OFF_BASE = 5_000
export const BACK_OFF_MAX = 300_000
export const BACK_OFF_MAX_ADDRESSES = 1_000

// ── DNS ──────────────────────────────────────────────────────────────────────────────────────────────────────────
/** One message over HTTPS (RFC 8484 §6); its length is 16 bits over TCP too. */
export const DNS_MAX_MESSAGE = 65_535
/** Records read of one answer: the public bootstrap names have some ten. */
export const DNS_MAX_RECORDS = 256
export const DNS_TIMEOUT = 5_000
/** go follows dnsaddr four deep and takes a hundred addresses; js 32 deep. */
export const DNSADDR_MAX_DEPTH = 4
export const DNSADDR_MAX_LOOKUPS = 32
export const DNSADDR_MAX_RESULTS = 100

// ── Noise (specs: noise/README.md) ───────────────────────────────────────────────────────────────────────────────
/** A Noise message's length is 16 bits (Noise §3). */
export const NOISE_MAX_MESSAGE = 65_535
/** Less the tag. */
export const NOISE_MAX_PLAINTEXT = NOISE_MAX_MESSAGE - 16
/** Muxers read from a handshake payload; go caps at the same. */
export const NOISE_MAX_MUXERS = 100
/** Certificate hashes read from one: a WebTransport server has two or three certificates at a time. */
export const NOISE_MAX_CERTHASHES = 32

// ── yamux (specs: yamux/README.md) ───────────────────────────────────────────────────────────────────────────────
/** Credit that each direction of a stream begins with (specification: 256 KiB). */
export const YAMUX_INITIAL_WINDOW = 256 * KiB
/** go and js grow to the same; more buys nothing at a page's speeds. */
export const YAMUX_MAX_WINDOW = 16 * MiB
/** All receive windows of one connection together, so that many streams can't add up to the machine's memory. */
export const YAMUX_MAX_WINDOWS = 64 * MiB
/** One data frame we send: with its 12-byte header it fills one Noise message exactly. */
export const YAMUX_MAX_FRAME = NOISE_MAX_PLAINTEXT - 12
/** Streams that the remote may hold open; beyond, new ones are reset. js allows 1,000 too. */
export const YAMUX_MAX_INBOUND = 1_000
/** Streams we opened that the remote has not acknowledged: go and rust refuse beyond 256. */
export const YAMUX_MAX_UNACKED = 256
/** Bytes a stream queues for sending before its writer must wait: one initial window. */
export const YAMUX_SEND_QUEUE = 256 * KiB
/** Bytes of control frames (acks, window updates, resets) waiting to go out; a remote that provokes more is ended. */
export const YAMUX_MAX_CONTROL = 256 * KiB
/** Streams that we hold open: rust ends the whole connection beyond 512 in both directions together. Further opens wait. */
export const YAMUX_MAX_OUTBOUND = 400
/** Opens that wait for one of the two limits above; beyond, an open fails. */
export const YAMUX_MAX_WAITING = 1_024
/** Ranges of ids that the remote passed over and may still open: go and rust open out of order, rust holds 512 streams at most. */
export const YAMUX_MAX_GAPS = 512
/** A received piece that would keep a buffer of more than this many times its size alive is copied out of it. */
export const YAMUX_MAX_PINNED = 16
/** go and js ping as often; also keeps NATs and proxies from forgetting the connection. */
export const YAMUX_PING_INTERVAL = 30_000
/** How long nothing at all may arrive after a ping before the connection counts as dead. */
export const YAMUX_PING_TIMEOUT = 30_000
/** What `close` may take: queued data, go-away, the end of the channel below. */
export const YAMUX_CLOSE_TIMEOUT = 5_000
/** How long the channel below may take to carry a go-away that says why we give up. */
export const YAMUX_GO_AWAY_TIMEOUT = 1_000
/** Bytes taken from the machine for one gathered write. */
export const YAMUX_PULL = 256 * KiB

// ── mplex (specs: mplex/README.md) ───────────────────────────────────────────────────────────────────────────────
/** Body of one message ("Writing to a stream"); no name, close or reset needs more either. */
export const MPLEX_MAX_MESSAGE = 1 * MiB
/** Body of one message we send: a stream's turn. Larger ones would make the other streams wait. */
export const MPLEX_MAX_SENT = 64 * KiB
/**
 * What a stream may have in our memory unread before it is reset: the remote can't be told to wait (js: the same). Also what may come in
 * behind a pause of the whole connection before it counts as one that can't be paused: a WebSocket of a page.
 */
export const MPLEX_RECEIVE_BUFFER = 4 * MiB
/** Unread bytes of all streams together: eight full streams. Whoever goes beyond is reset. */
export const MPLEX_MAX_UNREAD = 32 * MiB
/** This part of a stream's receive buffer unread, and the connection is not read on: all streams wait, but the one is not lost. */
export const MPLEX_PAUSE_SHARE = 1 / 4
/** How long all of them wait for a reader that takes nothing before its stream is reset (go: 5 s). */
export const MPLEX_PAUSE_TIMEOUT = 5_000
/** Streams opened or filled over a limit that are borne within the window; at one more the remote is at fault (js: 5, in 1 s). */
export const MPLEX_MAX_STRIKES = 5
export const MPLEX_STRIKE_WINDOW = 10_000
/** Streams that the remote may hold open; rust allows 128. */
export const MPLEX_MAX_INBOUND = 256
/** Streams that we hold open: rust refuses beyond 128 in both directions together. Further opens wait. */
export const MPLEX_MAX_OUTBOUND = 100
/**
 * Streams that we open within the period; further opens wait. js-libp2p 3 ends the connection at the sixth within a second, whatever
 * became of the others; the period leaves room for a network that bunches them up.
 */
export const MPLEX_OPEN_BURST = 5
export const MPLEX_OPEN_PERIOD = 1_250
/** Opens that wait for one of these; beyond, an open fails. */
export const MPLEX_MAX_WAITING = 1_024
/** Bytes a stream queues for sending before its writer must wait: four turns. */
export const MPLEX_SEND_QUEUE = 256 * KiB
/** Bytes of resets waiting to go out; a remote that provokes more is ended. */
export const MPLEX_MAX_CONTROL = 64 * KiB
/** What `close` may take: queued data, the end of the channel below. */
export const MPLEX_CLOSE_TIMEOUT = 5_000
/** Bytes taken from the machine for one gathered write. */
export const MPLEX_PULL = 256 * KiB

// ── private networks (specs: pnet/Private-Networks-PSK-V1.md) ────────────────────────────────────────────────────
/**
 * How long the remote may take to say its first line under our key. With another key it may well wait for the rest of a line that is
 * noise to it, until its own timeout: ours comes first, with a reason. Half of what an upgrade has.
 */
export const PNET_TIMEOUT = 5_000
/**
 * Receive window of a stream in a private network. js-libp2p ciphers all that it has queued as one message, in WebAssembly memory that
 * does not survive a message of 640 KiB: a stream that may have more under way takes the process's private connections down with it.
 */
export const PNET_MAX_WINDOW = 512 * KiB

// ── streams on native muxers (specs: webrtc/README.md) ───────────────────────────────────────────────────────────
/** One data-channel message with its length prefix; the specification's bound, whatever SCTP negotiated. */
export const RTC_MAX_MESSAGE = 16 * KiB
/**
 * The same towards a remote that is not known to take more: go reads messages through a buffer of 4 KiB and loses the stream at a larger
 * one, unless the length prefix has a message to itself, as go sends it; which older rust does not read.
 */
export const RTC_CAUTIOUS_MESSAGE = 4 * KiB
/** go sends up to 257 KiB: be liberal in what is accepted. */
export const RTC_MAX_RECEIVED = 257 * KiB
/** `bufferedAmount` at which a writer waits: two round trips' worth at 40 MB/s, well below Chromium's 16 MiB limit. */
export const RTC_SEND_BUFFER = 1 * MiB
/**
 * Unsent bytes of all channels of one connection together. Seen in Chromium 156, two pages on one machine: 30
 * streams of 100 kB at once stood still for 5 to 10 s in most runs, with no datagram lost by the kernel, and take 0.2 to 0.5 s with
 * this bound. Why is not proven; a limit of bytes in flight in the browser's own packet socket would explain it.
 */
export const RTC_SEND_TOTAL = 192 * KiB
/** At this much unsent a channel says that it takes more. */
export const RTC_LOW_WATER = 64 * KiB
/** What one stream sends before the next one has its turn. */
export const RTC_TURN = 64 * KiB
/** How often a connection that is full looks again: channels with little unsent say nothing when it is gone. */
export const RTC_DRAIN_POLL = 4
/**
 * What a sender without flow control may have in our memory per stream before it is reset. js sends as fast as SCTP takes it, and a page
 * that is busy for a quarter of a second has 4 MiB waiting; all streams together are bound by RTC_MAX_UNREAD.
 */
export const RTC_RECEIVE_BUFFER = 32 * MiB
/** js and go wait as long for FIN_ACK. */
export const RTC_FIN_ACK_TIMEOUT = 10_000
/** The same towards a remote that is known never to send it (rust): time for what is under way to arrive. */
export const RTC_FIN_ACK_BRIEF = 500
/** Streams that the remote may hold open on one WebRTC connection. */
export const RTC_MAX_INBOUND = 256
/**
 * Credit of a stream towards a peer that knows our flow control: 5 MB/s at a round trip of 100 ms. With more, a new connection is slower
 * where the path is short: its first 16 MB between two pages went at 26 MB/s, and at 15 with 1 MiB (medians of 6, taken in turns).
 */
export const RTC_CREDIT = 512 * KiB
/** What may be sent before the remote has shown whether it knows flow control; also the least that is ever granted. */
export const RTC_UNGRANTED = 256 * KiB
/** Grants of one connection together; streams beyond get RTC_UNGRANTED each. */
export const RTC_MAX_GRANTS = 64 * MiB
/** Unread bytes of one connection together: the full grants and RTC_MAX_INBOUND small ones. Stops floods without flow control. */
export const RTC_MAX_UNREAD = 128 * MiB
/**
 * Unread bytes of all WebRTC connections of a node together: two floods, or four hundred streams that wait for a busy page. A tab is
 * ended at 1 to 4 GiB, on a phone at a third of that. Beyond, the connection that holds the most loses its fullest stream.
 */
export const RTC_MAX_UNREAD_NODE = 256 * MiB
/** A connection that closes waits this long for its last FIN_ACKs: a round trip, even a slow one, and not a dead peer. */
export const RTC_CLOSE_TIMEOUT = 1_000

// ── connections, streams, peers ──────────────────────────────────────────────────────────────────────────────────
/** A page: browsers allow some 500 peer connections and 255 sockets. The relay sets its own. */
export const CONNECTIONS_MAX = 100
export const CONNECTIONS_MAX_PER_PEER = 8
/** A connection this young is not pruned: it has not had the time to be of use. Under a flood newcomers are refused instead. */
export const PRUNE_GRACE = 10_000
/** Of all places, those that may change hands to newcomers within PRUNE_GRACE: a flood must not wash out everybody who is here. */
export const PRUNE_SHARE = 1 / 8
/** Where nobody could give way, it is not looked for again so soon: under a flood of newcomers each look costs all connections. */
export const PRUNE_PAUSE = 1_000
/**
 * Of all places, connections and those being secured, what one public address may take. Offices and CI share one, go's 8 is too few for
 * them; machines of a private network are not counted, for a proxy there speaks for everybody.
 */
export const CONNECTIONS_IP_SHARE = 1 / 2
/** Inbound connections between accept and the end of their upgrade. */
export const CONNECTIONS_MAX_PENDING_INBOUND = 32
/** Streams of one protocol on one connection that the remote may have open, unless the service says otherwise. */
export const STREAMS_MAX_INBOUND = 32
/** Circuits from one announced peer that are being secured: more is no impatience. */
export const PENDING_PER_SOURCE = 4
/** Where all places are taken, one that has not been secured within this time gives way to a newcomer: handshakes take two round trips. */
export const PENDING_GRACE = 1_000
/** What an application's gater may take over one question: half of what the remote gives the upgrade. */
export const GATER_TIMEOUT = 5_000
/** Both sides dialled: time for each to know both connections before one is given up. */
export const TWIN_GRACE = 2_000
/** Peers that are kept alive and away, remembered for redialling; more than a page can be connected to. */
export const KEEP_ALIVE_MAX = 256
/** Redialled at a time (js: 5). */
export const KEEP_ALIVE_PARALLEL = 5
/** The wait before a peer is redialled grows from the first to the second with the time it has been away. */
export const KEEP_ALIVE_RETRY_MIN = 1_000
export const KEEP_ALIVE_RETRY_MAX = 60_000
/** How long a stream waits for the direct connection where only a limited one is open: longer than ICE takes, where it works. */
export const LIMITED_WAIT = 15_000
/** A relayed connection that a direct one replaced stays this long after its last stream, for streams still on their way. */
export const RETIRE_GRACE = 1_000
/** A remote has this long to end a stream whose conversation is over. */
export const STREAM_FINISH_TIMEOUT = 10_000
/** Orderly closing at `stop`: what has not closed by then is cut. */
export const STOP_TIMEOUT = 2_000
/** Peers remembered: the least recently seen go first. */
export const PEER_STORE_MAX = 1_000
/** Addresses remembered for one peer. */
export const PEER_STORE_MAX_ADDRESSES = 25
/** Names of tags that are kept over a restart for one peer: rooms it shares with us, and a few of the application. */
export const PEER_STORE_MAX_TAGS = 64
/** A peer not seen for so long is forgotten: js forgets in 6 h and go in none, but a page is opened again after a weekend or a holiday. */
export const PEER_LIFE = 30 * 24 * 60 * 60_000
/** What a peer told us itself, signed or over a connection of its own, counts so long: who had a relay or a host last week may have it yet. */
export const ADDRESS_LIFE_TOLD = 7 * 24 * 60 * 60_000
/** What others say of a peer's addresses (js and go: 1 h for all). */
export const ADDRESS_LIFE_HEARD = 60 * 60_000
/** One peer as it is stored; a signed record has 8 KiB at most. With PEER_STORE_MAX of them it stays within 32 MB. */
export const STORED_PEER_MAX = 32 * KiB
/** Stored peers read at a start: as many as we write, and as many of a newer version beside them, which are left alone. */
export const STORED_PEERS_READ = 2 * PEER_STORE_MAX
/** Names of protocols that metrics keep apart: an application has tens. */
export const METRICS_MAX_PROTOCOLS = 256

// ── WebSocket (specs: websockets/README.md) ──────────────────────────────────────────────────────────────────────
/** `bufferedAmount` at which a writer waits: with the poll below some 100 MB/s, more than a socket of a page carries. */
export const WS_SEND_BUFFER = 1 * MiB
/** How often a page looks whether `bufferedAmount` has fallen, for there is no event; js looks as often. */
export const WS_DRAIN_POLL = 10
/** Received bytes not yet used at which a socket of Node is paused. */
export const WS_RECEIVE_WINDOW = 256 * KiB
/** The same in a page, where a socket can't be paused: beyond, it is closed. The muxer's windows stay far below. */
export const WS_RECEIVE_MAX = 16 * MiB
/** One message we send: larger writes are cut, so that the receiver can begin before all of it has come. */
export const WS_MAX_SENT = 256 * KiB
/** One message we take. Noise frames have 64 KiB, and rust packs up to 192 KiB of them into one. */
export const WS_MAX_MESSAGE = 1 * MiB
/** Proxies cut what is idle for 60 s; a socket that answered no ping until the next one is gone. */
export const WS_PING_INTERVAL = 30_000
/** How long the remote may take to answer a close before the socket is destroyed. */
export const WS_CLOSE_TIMEOUT = 2_000
/** The HTTP request that becomes a WebSocket, headers and all; slower ones hold sockets open for nothing. */
export const WS_HANDSHAKE_TIMEOUT = 10_000

// ── WebTransport (specs: webtransport/README.md) ─────────────────────────────────────────────────────────────────
/** Bytes a stream queues for sending before its writer must wait; the browser's own pipe comes on top. */
export const WT_SEND_BUFFER = 256 * KiB
/** Received and not yet used bytes of a stream at which we read no more: QUIC's windows, behind the browser's pipe, then stop the remote. */
export const WT_RECEIVE_WINDOW = 256 * KiB
/** Streams that the remote may hold open: as many as go allows us. */
export const WT_MAX_INBOUND = 256
/** Streams that the browser has not opened yet, because the remote allows no more at a time; beyond, an open fails. */
export const WT_MAX_OPENING = 1_024
/** How often such a stream is asked for again where the browser refuses it instead of waiting: Chromium 156. */
export const WT_OPEN_RETRY = 10
/** Streams of a session that we close have this long to send what was written, or to tell that they are given up. */
export const WT_CLOSE_TIMEOUT = 1_000

// ── TCP ──────────────────────────────────────────────────────────────────────────────────────────────────────────
/** Bytes waiting for the system at which a writer waits, as for WebSocket. */
export const TCP_SEND_BUFFER = 1 * MiB
/** Received bytes not yet used at which a socket is paused. */
export const TCP_RECEIVE_WINDOW = 256 * KiB
/** Idle time after which the system asks whether the remote is there; NATs forget in minutes, and yamux pings as often. */
export const TCP_KEEP_ALIVE = 30_000
/** How long the remote may take to end its side, when a listener closes, before the socket is destroyed. */
export const TCP_CLOSE_TIMEOUT = 2_000

// ── TLS (specs: tls/tls.md) ──────────────────────────────────────────────────────────────────────────────────────
/** What a handshake may take up before the remote has proved anything: OpenSSL takes certificates of up to 100 KB, ours has 400 bytes. */
export const TLS_MAX_HANDSHAKE = 64 * KiB
/** How long the channel below may take to end once both sides have said goodbye. */
export const TLS_CLOSE_TIMEOUT = 2_000

// ── the border between threads ───────────────────────────────────────────────────────────────────────────────────
/** Credit of one byte pipe across the port, each way. */
export const PIPE_CREDIT = 256 * KiB

// ── identify (specs: identify/README.md) ─────────────────────────────────────────────────────────────────────────
/** rust reads only the first frame and at most this. */
export const IDENTIFY_MAX_SENT = 4 * KiB
/** go and js send frames of up to 8 KiB. */
export const IDENTIFY_MAX_FRAME = 8 * KiB
export const IDENTIFY_MAX_FRAMES = 10
export const IDENTIFY_MAX_PROTOCOLS = 1_024
export const IDENTIFY_MAX_ADDRESSES = 500
export const IDENTIFY_TIMEOUT = 5_000
/** Our own changes come in bursts (a reservation announces several addresses): they are pushed together. js waits 1 s. */
export const IDENTIFY_PUSH_DELAY = 200
/** Two changes further apart are pushed as far apart, so that ours and go's limits of pushes are kept. js waits as long. */
export const IDENTIFY_PUSH_SPACING = 1_000
/** Pushes on their way at a time; go and js have as many. */
export const IDENTIFY_PUSH_CONCURRENCY = 32
/** A push that the remote refused is tried once more, after the time in which go allows another. */
export const IDENTIFY_PUSH_RETRY = 5_000
export const IDENTIFY_PUSH_ATTEMPTS = 2
/** Addresses in our signed record, in bytes: with them unsigned beside it, a key, and forty protocols, one message still holds it all. */
export const IDENTIFY_MAX_RECORD = 1_280
/** Characters kept of a remote's agent and protocol version; kubo's longest is 60. */
export const IDENTIFY_MAX_AGENT = 256
/** Identify pushes of one connection that are read at once, and how fast the allowance comes back (go: a burst of 10, 0.2 a second). */
export const IDENTIFY_PUSH_BURST = 10
export const IDENTIFY_PUSH_INTERVAL = 1_000

// ── ping ─────────────────────────────────────────────────────────────────────────────────────────────────────────
export const PING_TIMEOUT = 10_000
export const PING_MAX_INBOUND = 2

// ── fetch (specs: fetch/README.md) ───────────────────────────────────────────────────────────────────────────────
/** The specification names none: a key is a path, not a document. */
export const FETCH_MAX_KEY = 1 * KiB
/** js reads no longer message; what is larger wants a stream of its own. */
export const FETCH_MAX_RESPONSE = 4 * MiB
/** Less the fields around it. */
export const FETCH_MAX_DATA = FETCH_MAX_RESPONSE - 16
/** From the request to the last byte of the answer; js gives as long. */
export const FETCH_TIMEOUT = 10_000
/** An application's lookup: the remote should hear that it failed before it gives up by itself. */
export const FETCH_LOOKUP_TIMEOUT = 8_000
/** Requests of one connection: js opens as many at a time, and each is small until it is answered. */
export const FETCH_MAX_INBOUND = 64
/** Lookups that the application is at, for all peers together. */
export const FETCH_MAX_LOOKUPS = 256
/** Answers that wait for their readers, all together: eight of the largest. */
export const FETCH_MAX_UNSENT = 32 * MiB

// ── perf (specs: perf/perf.md) ───────────────────────────────────────────────────────────────────────────────────
/** What is written at once: js and rust write as much. */
export const PERF_BLOCK = 64 * KiB
/** As in js: a second measurement beside the first would spoil both. */
export const PERF_MAX_INBOUND = 1
/** Neither side has moved a byte for this long: the largest window there is drains in less at 600 kB/s. */
export const PERF_STALL = 30_000

// ── circuit relay v2 (specs: relay/circuit-v2.md) ────────────────────────────────────────────────────────────────
export const RELAY_MAX_FRAME = 4 * KiB
/** Answering RESERVE takes one signature; CONNECT waits for the target. */
export const RELAY_RESERVE_TIMEOUT = 10_000
export const RELAY_CONNECT_TIMEOUT = 30_000
/** The relay's side. An app's own relay serves rooms of tabs: go's 128 reservations and 16 circuits are for strangers on a public node. */
export const RELAY_MAX_RESERVATIONS = 1_024
/** Circuits of all peers: two streams each, whose windows are what a circuit costs in memory. */
export const RELAY_MAX_CIRCUITS = 4_096
/** Circuits that begin or end at one peer: a page holds at most CONNECTIONS_MAX connections, and may dial anew before the old one is gone. */
export const RELAY_MAX_CIRCUITS_PER_PEER = 128
/** go and rust promise an hour, js two. */
export const RELAY_RESERVATION_TTL = 3_600_000
/** A reservation asked for again within this time is answered with the voucher it has: one signature a minute for each peer at most. */
export const RELAY_VOUCHER_REUSE = 60_000
/** Addresses of itself that a relay tells a client, so that they fit RELAY_MAX_FRAME beside the voucher. */
export const RELAY_MAX_OFFERED_ADDRESSES = 16
/** The client's side. Addresses announced for one relay: each is announced up to twice (with /webrtc), and identify has 4 KiB for all. */
export const RELAY_MAX_ADDRESSES = 4
/** Circuits that one relay may hand us at a time: as many as our own relay joins us in. */
export const RELAY_MAX_INBOUND_CIRCUITS = 128
/** Relays configured or found; each may cost a connection. */
export const RELAY_MAX_WANTED = 16
/** js refreshes five minutes ahead and never sooner than after 30 s; rust at three quarters of the time. */
export const RELAY_REFRESH_AHEAD = 300_000
export const RELAY_REFRESH_MIN = 30_000
/** A relay may promise more, but is asked once a day whether it still knows us; timers end at 2^31 ms too. */
export const RELAY_TTL_MAX = 86_400_000
/** The wait before a lost relay is tried again grows from the first to the second with the time it has been away. */
export const RELAY_RETRY_MIN = 1_000
export const RELAY_RETRY_MAX = 60_000
/** A relay that refused is full or does not want us: the first wait, doubled each time up to RELAY_RETRY_MAX. */
export const RELAY_REFUSED_RETRY = 5_000
/** A reservation held this long counts as the end of an outage; one that flaps keeps its growing waits. */
export const RELAY_STABLE = 60_000
/** Circuits of one source to one target at a time (rust: 4 for each peer). */
export const RELAY_MAX_CIRCUITS_PER_PAIR = 4
/** Bytes of one relay address: what is longer leaves no room for what is put behind it. */
export const RELAY_MAX_ADDRESS_BYTES = 512
/** A relay joins thousands of streams whose readers it does not know: each may leave it this much unread. */
export const RELAY_MAX_WINDOW = 1 * MiB

// ── WebRTC signalling (specs: webrtc/webrtc.md) ──────────────────────────────────────────────────────────────────
/** An SDP of a data-channel session is under 1 KiB; js and browsers stay under 4. */
export const SIGNALING_MAX_FRAME = 16 * KiB
export const SIGNALING_MAX_CANDIDATES = 100
export const SIGNALING_TIMEOUT = 30_000
/** Offers of one connection's remote that are being answered at a time: one, and one that replaces it. */
export const SIGNALING_MAX_INBOUND = 2
/** WebRTC offers being answered, all peers together: each costs the page's main thread an RTCPeerConnection. */
export const SIGNALING_MAX_LIVE = 16

// ── WebRTC in Node ───────────────────────────────────────────────────────────────────────────────────────────────
/** Names among a remote's candidates that are looked up: a page has one `.local` name for each of its networks. */
export const RTC_MAX_NAMES = 8
/**
 * Messages of one connection that come without a pause in which all were taken. A fifth of a second's work: at 16 KiB each it is
 * 1 GiB, so only who sends very small ones gets there.
 */
export const RTC_MAX_BURST = 65_536
/** WebRTC-direct handshakes that a listener has under way; go has as many. Each costs a peer connection and a socket. */
export const DIRECT_MAX_PENDING = 128
/** Those of one IP address: a household behind its NAT, but not all of the above. */
export const DIRECT_MAX_PENDING_PER_IP = 16
/** From the first STUN request to the end of Noise; go gives as long. */
export const DIRECT_SETUP_TIMEOUT = 10_000
/** STUN requests from unknown addresses that are answered in a second: each answer takes some 30 µs; more is a flood. */
export const DIRECT_MAX_CHALLENGES = 1_000
/** Addresses whose answer to that is waited for: as many as are asked in a second, and no path takes longer. */
export const DIRECT_MAX_ASKED = 1_024
/** A connection whose address is silent for this long may go on from another one: a NAT forgot it, or the network changed. */
export const DIRECT_QUIET = 3_000
/** How long what a closed connection still has to say is passed on: DTLS says goodbye within milliseconds. */
export const DIRECT_LINGER = 1_000

// ── WebRTC-direct (specs: webrtc/webrtc-direct.md) ───────────────────────────────────────────────────────────────
/**
 * Version 2 is tried alone this long before version 1 starts beside it. In Chromium 156 the first answer is there one round trip and 5 to
 * 12 ms after the start, so that both are tried only where the path is as long as this, and a js listener costs no more the first time.
 */
export const DIRECT_HEAD_START = 250
/** Both versions and the handshake: just before DIAL_ADDRESS_TIMEOUT, so that the error tells what became of each. */
export const DIRECT_TIMEOUT = 9_500
/** Listeners of which it is remembered that they answered version 1. */
export const DIRECT_MAX_REMEMBERED = 64
/** Received bytes on channel 0 before the handshake is done: two Noise messages of the largest size, and their framing. */
export const DIRECT_HANDSHAKE_MAX = 160 * KiB
/** What a remote may send on streams of its own before the handshake is done: what a fast path carries while a signature is checked. */
export const DIRECT_EARLY_MAX = 4 * MiB

// ── QUIC in Node (specs: quic/README.md) ─────────────────────────────────────────────────────────────────────────
/** Bytes a stream queues for sending before its writer must wait. */
export const QUIC_SEND_BUFFER = 256 * KiB
/** Small writes leave together up to this: each one costs a hop to the binding's threads. */
export const QUIC_WRITE = 64 * KiB
/** One read. */
export const QUIC_READ = 64 * KiB
/** Received and not yet used bytes of a stream at which we read no more; QUIC itself holds two more such windows per stream. */
export const QUIC_RECEIVE_WINDOW = 1 * MiB
/** Streams that the remote may hold open: go and rust allow 256. */
export const QUIC_MAX_INBOUND = 256
/** rust, go and js give a handshake 5 to 10 s. */
export const QUIC_HANDSHAKE_TIMEOUT = 5_000
/** go's; a peer that is gone without a word is missed by then. */
export const QUIC_IDLE_TIMEOUT = 30_000
/** Half of go's 30 s, so that one lost packet ends nothing. */
export const QUIC_KEEP_ALIVE = 15_000
/** UDP buffers asked of the system: Linux grants 208 KiB unless told otherwise, and what overflows is sent again. */
export const QUIC_SOCKET_BUFFER = 2 * MiB
/** Streams of a connection that we close have this long to deliver what was written. */
export const QUIC_CLOSE_TIMEOUT = 1_000
/** The wait after a handshake that failed, so that a broken socket does not spin. */
export const QUIC_ACCEPT_PAUSE = 10

// ── STUN (RFC 8489) ──────────────────────────────────────────────────────────────────────────────────────────────
/** What fits every path unfragmented (§6.1: 576 bytes less the headers of IP and UDP); a binding request has 20 to 100. */
export const STUN_MAX_REQUEST = 548
/** The relay's answer to where it answers: a port and a name. */
export const STUN_MAX_ANSWER = 512
export const STUN_ANSWER_TIMEOUT = 10_000
/** Browsers warn above four ICE servers: each is asked for every candidate. */
export const STUN_MAX_SERVERS = 3
/** Requests answered in a second: a page sends some ten to connect, and an answer takes 20 µs of the relay. */
export const STUN_MAX_PER_SECOND = 5_000

// ── changes of network ───────────────────────────────────────────────────────────────────────────────────────────
/** What a ping over a byte pipe may take after a change of network, before the pipe counts as dead: no path answers slower but for queues. */
export const CHECK_TIMEOUT = 1_200
/** The same for a data channel, where being wrong costs an ICE restart and nothing else; four round trips where that is more. */
export const CHECK_BRIEF = 750
/** Longest wait for a ping, whatever the round trip is. */
export const CHECK_MAX = 5_000
/** What was sent and not answered by anything for this long has the path checked. */
export const MEND_SILENCE = 750
/** Between two such checks of a path that answered: a stream that only sends is not pinged all the time. */
export const MEND_LOOK_AGAIN = 2_000
/** A path that broke is mended for so long, counted from when the network was there; Chromium itself gives up after 15 s. */
export const MEND_TIMEOUT = 30_000
/** One try: a circuit, two descriptions, the candidates, and SCTP's next retransmission (Chromium: 3 s at the latest). */
export const MEND_TRY_TIMEOUT = 6_000
/** From the offer to its answer; then a later offer of the remote is taken instead. */
export const MEND_ANSWER_TIMEOUT = 1_500
export const MEND_RETRY_MIN = 100
export const MEND_RETRY_MAX = 4_000
/** Circuits to one peer that are tried, and the milliseconds between them. */
export const MEND_MAX_WAYS = 4
export const MEND_STAGGER = 300
/** Restarts of one peer that are answered at a time: the later one counts. */
export const MEND_MAX_INBOUND = 2
export const MEND_MAX_FRAME = 16 * KiB
/** While a data channel's network is away (or is just back) a message may go this often: three that arrive make SCTP send the lost ones again. */
export const RTC_TRICKLE = 100
export const RTC_TRICKLE_AWAY = 300
/** Of so many bytes; all of them together stay below the 1,200 that SCTP has under way after a loss. */
export const RTC_TRICKLE_BYTES = 48
export const RTC_TRICKLE_AWAY_MAX = 3
/** Then all may go again, whatever has been heard. */
export const RTC_TRICKLE_MAX = 30
