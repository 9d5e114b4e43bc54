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
/**
 * The last number that a frame has, of those sent before the remote has answered (framing.ts); later ones have none. RTC_UNGRANTED makes 64
 * frames of RTC_CAUTIOUS_MESSAGE, and what libdatachannel swaps are the first that come.
 */
export const RTC_MAX_EARLY = 256
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
/**
 * Bytes of published and heard messages that cross at a time, each way, as batches of which so many may be on their way: one, so that under load what
 * comes meanwhile crosses together. With four, 10,000 messages between two pages on two cores were heard 10 % later.
 */
export const LANE_BATCH = 64 * KiB
export const LANE_WINDOW = 1
/** Bytes of messages that the application has published and that wait for the engine: beyond, `publish` rejects. */
export const PUBSUB_MAX_WAITING = 64 * MiB
/** Bytes of messages that wait for the application. Beyond, no more is read, and peers wait in turn. */
export const PUBSUB_MAX_UNHEARD = 8 * MiB
/** Milliseconds without a sign of life of the application after which the oldest of them are dropped instead: the mesh must not wait for a page that sleeps. */
export const PUBSUB_DEAF = 10_000
/**
 * Messages that wait to be signed, or for the slowest peer, at which no more are taken from the application; a peer may be 16,384 behind.
 * RTC_SEND_TOTAL holds some 700 more, which keep the path busy.
 */
export const PUBSUB_BACKLOG = 256
/** Messages that are being signed at a time: browsers sign on the worker's own thread, at some 30 µs each, and others wait meanwhile. */
export const PUBSUB_SIGNING = 256
/** Right signatures of an author after which a table is made of its key: that takes as long as some twenty to forty checks, so it is no way to slow us down. */
export const AUTHOR_TABLE_FROM = 128
/** Signatures of one turn that are worth making together: the module takes as long to make as some 300 by the platform, so only bulk is worth it. */
export const SIGN_TOGETHER_FROM = 16
/** Milliseconds until it is looked again whether the slowest peer has caught up. */
export const PUBSUB_RETRY = 5
/** Milliseconds that the page may spend on messages in one task, so that it still draws 60 frames a second. */
export const PUBSUB_TASK = 6
/** Peers in topics that are told to the page, beyond which it hears only of those that it has joined. */
export const PUBSUB_MAX_STRANGERS = 10_000

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
/** What a relay that is asked has before a spare is tried beside it: a healthy one takes three round trips. */
export const RELAY_SPARE_DELAY = 2_000
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
/** Node's candidates wait for the answer to their offer for so long at most: a relay's round trip, or what nobody minds. */
export const RTC_HOLD_CANDIDATES = 300
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
/** After which another connection to a relay is made beside it: being wrong costs one connection. */
export const CHECK_SLOW = 400
/**
 * The same for a data channel, where being wrong costs an ICE restart and nothing else; four round trips where that is more. SCTP sends what was
 * lost again after 0.4, 1.2 and 2.8 s (Chromium): a path that is whole before the second is as good as one that was whole at the first.
 */
export const CHECK_BRIEF = 500
/** Longest wait for a ping, whatever the round trip is. */
export const CHECK_MAX = 5_000
/** What was sent and not answered by anything for this long has the path checked. */
export const MEND_SILENCE = 500
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

// ── gossipsub (specs: pubsub/gossipsub) ──────────────────────────────────────────────────────────────────────────
/** One RPC of a remote: go sends and reads as much. */
export const GOSSIP_MAX_RPC = 1 * MiB
/** One RPC of ours: rust reads 64 KiB by default, and resets the stream over more. */
export const GOSSIP_MAX_SENT = 64 * KiB - 512
/** What one message of ours may carry: with topic, author, signature and an RSA key it still fits GOSSIP_MAX_SENT. */
export const GOSSIP_MAX_DATA = 60 * KiB
/** Bytes of a topic's name: names are kept for every peer that has them. */
export const GOSSIP_MAX_TOPIC = 1 * KiB
/** Topics that one peer may be subscribed to; those beyond are not heard of. */
export const GOSSIP_MAX_TOPICS = 1_000
/** Topics that we may join: each is told to every peer, and most peers stop listening after some thousand. */
export const GOSSIP_MAX_JOINED = 1_000
/** Messages and lists of one RPC that are looked at; js stops at as many. */
export const GOSSIP_MAX_LIST = 5_000
/** Bytes of a message id: ours has 46, a hash 32. */
export const GOSSIP_MAX_ID = 256
/** Peers that one PRUNE may offer; go offers 16. */
export const GOSSIP_MAX_OFFERED = 16
/** Of one such peer: its signed record. */
export const GOSSIP_MAX_RECORD = 8 * KiB
/** Messages that wait for a signature to be checked or for the application's verdict (go: 8,192). */
export const GOSSIP_MAX_VALIDATING = 8_192
/** Message ids remembered: two minutes of 8,000 messages a second. */
export const GOSSIP_MAX_SEEN = 1_000_000
/** Messages kept to be asked for, in bytes: at a page's speeds a few heartbeats' worth. */
export const GOSSIP_MAX_CACHED = 32 * MiB
/** Messages and their bytes that wait for one slow peer. They are shared between the queues of all peers. */
export const GOSSIP_MAX_QUEUED = 16_384
export const GOSSIP_MAX_QUEUED_BYTES = 16 * MiB
/** Ids in IHAVE and IWANT that wait for one slow peer: older gossip is of no use to it. */
export const GOSSIP_MAX_QUEUED_IDS = 10_000
/** Ids that one peer does not want, remembered at a time: the messages of three heartbeats. */
export const GOSSIP_MAX_UNWANTED = 3_000
/** Peers of one topic that are not to be grafted for a while; the oldest is forgotten first. */
export const GOSSIP_MAX_BACKOFFS = 4_096
/** A remote may ask to be left alone for so long. */
export const GOSSIP_MAX_BACKOFF = 3_600_000
/** Peers gone with something on their account whose scores are kept. */
export const GOSSIP_MAX_RETAINED = 2_048
/** A received message that would keep a buffer of more than this many times its size alive is copied out of it. */
export const GOSSIP_MAX_PINNED = 4
/** The wait before a stream that broke, on a connection that stands, is opened again; doubled each time, at most four times (go). */
export const GOSSIP_REOPEN_MIN = 100
export const GOSSIP_REOPEN_TRIES = 4
/** A stream that has been there so long counts as a success. */
export const GOSSIP_STABLE = 60_000
/** A peer's new stream waits so long for a former one that brings nothing and does not end. */
export const GOSSIP_PATIENCE = 1_000
/** Dials for peers that a PRUNE offered, at a time (go: 8), and those that wait. */
export const GOSSIP_MAX_DIALS = 8
export const GOSSIP_MAX_DIALS_WAITING = 128
/**
 * Messages that a go peer is sent at a time, and the milliseconds in which that many more may go: it has a queue of 32 for messages to be
 * verified, of all its peers together, and drops what does not fit.
 */
export const GOSSIP_BURST = 16
export const GOSSIP_BURST_INTERVAL = 5
/** After more than so many in that time, or in a second, it is also told which they were: so much of each peer of its mesh it can hold. */
export const GOSSIP_HURRY = 4
export const GOSSIP_HURRY_SECOND = 32
/** A validator that has said nothing for so long: its message is ignored. */
export const GOSSIP_VALIDATE_TIMEOUT = 30_000
/** Bytes of a group's id (partial-messages.md): they are kept for some heartbeats; a hash has 32, Ethereum's groups 33. */
export const GOSSIP_MAX_GROUP = 256
/** What parts and their metadata may be together in one RPC of ours: with topic and group it fits GOSSIP_MAX_SENT. Others' have GOSSIP_MAX_RPC. */
export const GOSSIP_MAX_PARTS = 60 * KiB
/** Metadata, ours and others': ours is kept for gossip. A bit for each of 65,536 parts. */
export const GOSSIP_MAX_METADATA = 8 * KiB
/** Groups of one topic that others brought up and we have not answered, of all peers together and of one peer (go). */
export const GOSSIP_MAX_GROUPS = 255
export const GOSSIP_MAX_GROUPS_OF_PEER = 8
/** Groups of one topic that we have a say in, remembered for their gossip: with their metadata at most 2 MiB. The oldest is forgotten first. */
export const GOSSIP_MAX_OWN_GROUPS = 256
/** Parts and their bytes that wait for one slow peer. Unlike messages they are not shared. */
export const GOSSIP_MAX_QUEUED_PARTS = 1_024
export const GOSSIP_MAX_QUEUED_PARTS_BYTES = 4 * MiB

// ── Kademlia (specs: kad-dht/README.md) ─────────────────────────────────────────────────────────────────────────
/** §Replication parameter. */
export const KAD_K = 20
/** §Alpha concurrency parameter: requests of one lookup under way at a time. */
export const KAD_ALPHA = 10
/** Paths of a lookup that share no peer (S/Kademlia §4.4): those who lie on one of them do not decide alone. js has up to 20, go none. */
export const KAD_PATHS = 3
/** One answer; go reads as much, and fills it with providers. */
export const KAD_MAX_RESPONSE = 4 * MiB
/** One request: the largest has a record of KAD_MAX_VALUE. */
export const KAD_MAX_REQUEST = 32 * KiB
/** What we send: rust reads 16 KiB. */
export const KAD_MAX_SENT = 12 * KiB
/** Entries of a list that are counted; beyond, the message is refused. Popular content has thousands of providers. */
export const KAD_MAX_LISTED = 16_384
/** Closer peers of one answer that are looked at: go puts the one that was looked for in front of k others. */
export const KAD_MAX_CLOSER = KAD_K + 1
/** Providers of one answer that are looked at. */
export const KAD_MAX_PROVIDERS = 1_000
/** Of these, what one answer may bring before the end of a search: no liar fills it up before the KAD_K nearest have answered. */
export const KAD_PROVIDERS_SHARE = KAD_MAX_PROVIDERS / KAD_K
/** Addresses of one peer that are looked at, and that we pass on. */
export const KAD_MAX_ADDRESSES = 16
export const KAD_MAX_ADDRESSES_SENT = 8
/** A key of content: go refuses longer ones. */
export const KAD_MAX_CONTENT_KEY = 80
/** A key of a record: a namespace and a multihash, or what an application makes of it. */
export const KAD_MAX_KEY = 512
/** A record's value (IPNS record specification §Record size limit). */
export const KAD_MAX_VALUE = 10 * KiB
/** One request, from the dial to the last byte of the answer (go and js: 10 s for the reading alone). */
export const KAD_REQUEST_TIMEOUT = 10_000
/** After so long others are asked in the place of one who has not answered: over a relay three round trips of a second take as long. */
export const KAD_SLOW = 3_000
/** Who could not be dialled is not asked for so long, four times as long after each further failure, and of how many that is remembered. */
export const KAD_GONE = 5_000
export const KAD_GONE_MAX = 320_000
export const KAD_MAX_GONE = 1_024
/** A lookup (js: 180 s; go: the caller's). */
export const KAD_LOOKUP_TIMEOUT = 60_000
/** Peers that one lookup asks, and hears of: three paths of an honest network take a hundred. */
export const KAD_LOOKUP_MAX_ASKED = 500
export const KAD_LOOKUP_MAX_HEARD = 5_000
/** Of KAD_ALPHA, what those whom one peer named may take while others wait: who names twenty that do not answer shall not stall it all. */
export const KAD_LOOKUP_SHARE = 1 / 2
/** Lookups under way at a time, and those that wait. */
export const KAD_MAX_LOOKUPS = 16
export const KAD_MAX_LOOKUPS_WAITING = 256
/** Peers kept beside a full bucket, to take the place of one that is gone. */
export const KAD_REPLACEMENTS = 10
/** Peers of one table, and of one bucket, whose addresses are in one network (go): a sybil's are cheap there. */
export const KAD_MAX_PER_NETWORK = 3
export const KAD_MAX_PER_NETWORK_AND_BUCKET = 2
/** §Bootstrap process: how often each bucket is refreshed. */
export const KAD_REFRESH = 600_000
/** §Bootstrap process: QueryTimeout. */
export const KAD_REFRESH_TIMEOUT = 10_000
/** Buckets that are refreshed by a key of their own: to find one for the next takes twice the hashes. Deeper ones our own id covers. */
export const KAD_REFRESH_BUCKETS = 12
/** Who has not answered for so long is asked whether he is there (go: 43 min, by its formula from KAD_REFRESH, k and alpha). */
export const KAD_STALE = 2_580_000
/** Checks under way at a time. */
export const KAD_MAX_CHECKS = 16
/** The same with those who have just come: more of them at a time are not looked at, but heard of again. */
export const KAD_MAX_PROBES = 64
/** A lookup of which nobody is known to ask waits so long for a first peer: a dial, and identify. */
export const KAD_FIRST_PEER = 10_000
/** While nobody is known, peers to begin with are dialled this often; their addresses back off by themselves. */
export const KAD_BOOTSTRAP_AGAIN = 60_000
/** What a connection to one of the table is worth: it goes after those to who is of no use, and before all that something else needs. */
export const KAD_TAG = 5
/** The first lookup of our own id, after the first peer has come: others come with him. */
export const KAD_FIRST_REFRESH = 1_000
/** §Content provider advertisement: how long a record of a provider counts, and how often ours are sent again. */
export const KAD_PROVIDER_LIFE = 48 * 3_600_000
export const KAD_REPROVIDE = 22 * 3_600_000
/** Of what is due to be told again: so many at a time, and others after a pause; what failed, after a longer one. */
export const KAD_REPROVIDE_BATCH = 32
export const KAD_REPROVIDE_PAUSE = 5_000
export const KAD_REPROVIDE_RETRY = 600_000
/** How long a provider's addresses count (go; the specification's 30 min make every finder look the peer up). */
export const KAD_PROVIDER_ADDRESS_LIFE = 24 * 3_600_000
/** Records of values (go: DefaultMaxRecordAge). */
export const KAD_RECORD_LIFE = 48 * 3_600_000
/** Records of values that are kept, and what they are together: on a network of 10,000 servers that is 5 million. */
export const KAD_MAX_RECORDS = 10_000
export const KAD_MAX_RECORDS_BYTES = 32 * MiB
/** Contents for which providers are kept, providers of one of them, and pairs in all (some 500 bytes each). */
export const KAD_MAX_CONTENTS = 50_000
export const KAD_MAX_PROVIDERS_KEPT = 200
export const KAD_MAX_PROVIDER_RECORDS = 100_000
/** Of these, what one peer may bring: each needs no more than an id. */
export const KAD_MAX_PER_PROVIDER = 20_000
/** An answer of an HTTP router, from the request to its last byte, and how long it and a line of it may be: a thousand peers, and one. */
export const ROUTER_TIMEOUT = 15_000
export const ROUTER_MAX_ANSWER = 2 * MiB
export const ROUTER_MAX_LINE = 64 * KiB
/** Milliseconds that the DHT has for a better record when a router has a valid one. */
export const ROUTER_GRACE = 2_000
/** Changes that wait for a slow disk, and entries that are read of one: what the stores hold. */
export const KAD_SHELF_MAX_CHANGES = 250_000
export const KAD_SHELF_MAX_READ = KAD_MAX_RECORDS + KAD_MAX_PROVIDER_RECORDS + 10_000
/** Stores are swept this often; what is over is not told to anybody before that either. */
export const KAD_SWEEP = 3_600_000
/** What we provide ourselves and look after. */
export const KAD_MAX_PROVIDED = 10_000
/** Records that wait for their signature, or for the application, before they are stored; and for how long. */
export const KAD_MAX_VALIDATING = 256
export const KAD_VALIDATE_TIMEOUT = 5_000
/** Streams of one connection's remote; js and go hold one and send one request after the other. */
export const KAD_MAX_INBOUND = 32
/** A stream on which nothing is asked is reset after this (go: 60 s), and closed by us before. */
export const KAD_IDLE = 60_000
export const KAD_KEEP_STREAM = 30_000
/** Streams kept open for later requests. */
export const KAD_MAX_KEPT_STREAMS = 64
/** A connection that was opened for a request alone is closed when it was idle for so long, and how many may be idle: a page has CONNECTIONS_MAX. */
export const KAD_KEEP_CONNECTION = 30_000
export const KAD_MAX_KEPT_CONNECTIONS = 32
/** Values of one key that are compared: all others are the same, or lies. */
export const KAD_MAX_CANDIDATES = 64
/** Values that must agree before a search ends (go: 16 of 20, js 1): more only cost time where signatures tell which is newest. */
export const KAD_QUORUM = 3

// ── AutoNAT (specs: autonat/autonat-v2.md, autonat-v1.md) ────────────────────────────────────────────────────────
/** go reads no larger message. */
export const AUTONAT_MAX_MESSAGE = 8 * KiB
/** A dial back is a nonce of ten bytes; go reads a message of up to this. */
export const AUTONAT_MAX_DIAL_BACK = 1 * KiB
/** Addresses of a request that a server looks at (go). */
export const AUTONAT_MAX_ADDRESSES = 50
/** Addresses that we name in one request (go): the first one that the server can dial counts. */
export const AUTONAT_MAX_ASKED = 10
/** One request, from its first byte to the answer (go: the same, so neither side waits for the other in vain). */
export const AUTONAT_TIMEOUT = 15_000
/** The server's dial; go gives as long. */
export const AUTONAT_DIAL_TIMEOUT = 10_000
/** The nonce on the new connection, and how long a client waits for it where the answer was faster (go). */
export const AUTONAT_DIAL_BACK_TIMEOUT = 5_000
/** What a server asks for before it dials another IP address than the client's own ("Amplification Attack Prevention"). */
export const AUTONAT_DATA_MIN = 30_000
export const AUTONAT_DATA_MAX = 100_000
/** One message of it: the specification allows 4,096 bytes of data, go and rust read as many around it. */
export const AUTONAT_DATA_CHUNK = 4_000
/** A chunk that is smaller, and not the last one, costs the server more than the client (go). */
export const AUTONAT_DATA_LEAST = 100
/** After that a server waits up to so long, that requests for one victim do not fall on it all at once (go). */
export const AUTONAT_DATA_WAIT = 3_000
/** Requests that a server takes in a minute: of all, of one network (of IPv6 a /56), of one peer, and those that cost dial data (go, but for the second). */
export const AUTONAT_RATE_PERIOD = 60_000
export const AUTONAT_RATE_ALL = 60
export const AUTONAT_RATE_NETWORK = 30
export const AUTONAT_RATE_PEER = 12
export const AUTONAT_RATE_DATA = 12
/** Streams of one connection: a request, and one that is refused with a reason. */
export const AUTONAT_MAX_INBOUND = 2
/** Servers by how many more say one thing than the other before no more are asked (go: 3). */
export const AUTONAT_CONFIDENCE = 3
/** Addresses of ours that are looked after: some eight for each of three external addresses. */
export const AUTONAT_MAX_TRACKED = 24
/** Requests under way at a time: dials that nobody answers take ten seconds each. */
export const AUTONAT_MAX_ASKING = 3
/** What is new is not asked about at once: addresses and servers come in bursts (go). */
export const AUTONAT_DELAY = 1_000
/** Between two requests to one server: go's takes twelve a minute from a peer, and so does ours. */
export const AUTONAT_PAUSE = 6_000
/** After a request that came to nothing, doubled each time up to the second. */
export const AUTONAT_FAILED_PAUSE = 60_000
export const AUTONAT_FAILED_PAUSE_MAX = 3_600_000
/** A server that can't dial an address is not asked about it again so soon (go). */
export const AUTONAT_REFUSED_PAUSE = 600_000
/** What is known is asked again after this, a fifth more or less (go: 1 h). */
export const AUTONAT_REFRESH = 3_600_000
/** What nobody could be asked about for so long is not known any more. */
export const AUTONAT_OUTCOME_LIFE = 3 * 3_600_000
/** Observers of one external address before we pay dial data to have it confirmed (go: before it is used at all). */
export const OBSERVED_ACTIVATION = 4
/** External addresses of one listener that are taken for possible (go). */
export const OBSERVED_MAX_PER_LISTENER = 3
/** What connections say of us is looked at together. */
export const OBSERVED_DELAY = 200

// ── port mapping in Node (RFC 6886; UPnP IGD) ────────────────────────────────────────────────────────────────────
/** Seconds asked for (RFC 6886 §3.3 recommends 7,200): what a peer that died left open is closed after it. */
export const PORT_MAPPING_LEASE = 7_200
/** Renewed when half of the lease has passed (RFC 6886 §3.3), but not more often than the first and not later than the second. */
export const PORT_MAPPING_RENEW_MIN = 10_000
export const PORT_MAPPING_RENEW_MAX = 1_800_000
/** After a round that came to nothing, doubled each time up to the second: most networks without a gateway never have one. */
export const PORT_MAPPING_RETRY = 60_000
export const PORT_MAPPING_RETRY_MAX = 3_600_000
/** One round: both ways to the gateway, all ports. */
export const PORT_MAPPING_TIMEOUT = 15_000
/** What a peer that stops gives its gateway to remove the mappings; the lease ends them else. */
export const PORT_MAPPING_CLOSE_TIMEOUT = 2_000
/** Ports mapped: a listener has one. */
export const PORT_MAPPING_MAX = 16
/** A NAT-PMP request is sent at 0, 250, 750 and 1,750 ms and given up 2 s later (RFC 6886 §3.1 goes on for a minute). */
export const PMP_FIRST_WAIT = 250
export const PMP_TRIES = 4
/** The search for UPnP gateways, which are asked to answer within a second. */
export const UPNP_SEARCH = 3_000
/** Devices that call themselves gateways: a network has one, perhaps two. */
export const UPNP_MAX_CANDIDATES = 4
/** Memory of the thread that talks to it: a description has some 10 kB, the library and its parser take 5 MB. */
export const UPNP_MAX_HEAP = 32 * MiB

// ── DCUtR (specs: relay/DCUtR.md) ────────────────────────────────────────────────────────────────────────────────
/** §RPC messages: larger ones are refused. */
export const DCUTR_MAX_FRAME = 4 * KiB
/** Addresses told and tried: a peer has one for each family and transport, and each one tried is a stranger's wish that we knock there. */
export const DCUTR_MAX_ADDRESSES = 8
/** §The Protocol, step 6. */
export const DCUTR_ATTEMPTS = 3
/** CONNECT, its answer and SYNC: two round trips over the relay. js gives 5 s to the whole, go a minute. */
export const DCUTR_EXCHANGE_TIMEOUT = 10_000
/** Dialling the other side's public addresses before anything is agreed. */
export const DCUTR_REVERSAL_TIMEOUT = 5_000
/** One attempt: SYNs go at once and after 1 and 3 s, and then a handshake. js gives 5 s, go 10. */
export const DCUTR_PUNCH_TIMEOUT = 5_000
/** Of an attempt that is not the last: eight round trips, this at least. */
export const DCUTR_PUNCH_BRIEF = 2_000
/** By which B's second knock is late: what is on its way arrives first. */
export const DCUTR_LATE = 200
/** Where a knock was refused (the other side was not there yet), it is repeated after this long, so often. */
export const DCUTR_REDIAL = 200
export const DCUTR_MAX_REDIALS = 8
/** Peers with which it is under way: each costs a few sockets for seconds. */
export const DCUTR_MAX_LIVE = 16
/** Exchanges of one connection's remote: one, and a later one that replaces it. */
export const DCUTR_MAX_INBOUND = 2
/** Where both sides can do WebRTC, that has so long to become the direct connection: ICE takes one to three seconds. */
export const DCUTR_PATIENCE = 6_000

// ── rendezvous (specs: rendezvous/README.md) ─────────────────────────────────────────────────────────────────────
/** §Recommendations for Rendezvous Points configurations. Bytes of UTF-8. */
export const RENDEZVOUS_MAX_NAMESPACE = 255
/** Seconds. §Registration Lifetime: what is meant where none is told, and the most there may be. */
export const RENDEZVOUS_TTL = 7_200
export const RENDEZVOUS_MAX_TTL = 259_200
/** Seconds. 2 h is recommended; a page lives for minutes, and who looks for it should not find it for hours after. */
export const RENDEZVOUS_MIN_TTL = 60
/** 1,000 are recommended, rust allows 32: an application has a few. */
export const RENDEZVOUS_MAX_PER_PEER = 100
/** Of all peers together (rust). */
export const RENDEZVOUS_MAX_REGISTRATIONS = 10_000
/** A signed record; ours have at most 1.5 KiB. One is kept of each peer that is registered, so all together take 40 MiB. */
export const RENDEZVOUS_MAX_RECORD = 4 * KiB
/** A record with the words around it: what a server reads. */
export const RENDEZVOUS_MAX_REQUEST = RENDEZVOUS_MAX_RECORD + 1 * KiB
/** Registrations in one answer (§Recommendations). */
export const RENDEZVOUS_MAX_FOUND = 1_000
/** Those that a client asks for at a time: more of them than that, large ones, and rust's server has more to say than it can. */
export const RENDEZVOUS_PAGE = 200
/** Those that a client reads: rust's server keeps as many, and tells them all where nobody says how many. */
export const RENDEZVOUS_MAX_READ = 10_000
/** What a server sends in one answer; the cookie leads on to the rest. rust reads 1 MiB. */
export const RENDEZVOUS_MAX_ANSWER = 512 * KiB
/** What a client reads: as much as rust sends. */
export const RENDEZVOUS_MAX_RESPONSE = 1 * MiB
/** Ours and rust's have 8 bytes and a namespace; the specification names no bound. */
export const RENDEZVOUS_MAX_COOKIE = 512
/** A request and its answer; a client then has so long again to check the signatures of what it found. */
export const RENDEZVOUS_TIMEOUT = 10_000
/** Requests of one connection at a time: a page asks for one thing after another. */
export const RENDEZVOUS_MAX_INBOUND = 8
/** Answers that wait for their readers, all together. */
export const RENDEZVOUS_MAX_UNSENT = 32 * MiB
/** Requests of one peer: so many at once, and then one in so many milliseconds. A peer in a hundred rooms comes with a hundred. */
export const RENDEZVOUS_BURST = 200
export const RENDEZVOUS_INTERVAL = 500
/** Peers whose requests are counted; of more, the one that was heard of first is forgotten. */
export const RENDEZVOUS_MAX_COUNTED = 10_000
/** A registration is renewed when this share of its time has passed: two tries fit in the rest. */
export const RENDEZVOUS_RENEW = 0.7
/** But not more often than this, whatever a server says. */
export const RENDEZVOUS_RENEW_MIN = 20_000
/** After a refusal or a failure, doubled each time up to the second, a fifth more or less. */
export const RENDEZVOUS_RETRY = 2_000
export const RENDEZVOUS_RETRY_MAX = 300_000
/** What a peer that stops gives its servers to forget it; its ttl ends it else. */
export const RENDEZVOUS_LEAVE_TIMEOUT = 1_000
/** Addresses come in bursts, when relays and interfaces come and go. */
export const RENDEZVOUS_SETTLE = 500
/** Namespaces that one client keeps itself registered in, and those that it watches; each costs requests for as long as it lives. */
export const RENDEZVOUS_MAX_KEPT = 256
/** Between two looks at a namespace, unless told otherwise, and at least. */
export const RENDEZVOUS_POLL = 10_000
export const RENDEZVOUS_POLL_MIN = 500
/** Answers that are read one after the other before the pause: what is more waits until the next look. */
export const RENDEZVOUS_MAX_PAGES = 10

// ── pubsub peer discovery (npm @libp2p/pubsub-peer-discovery) ────────────────────────────────────────────────────
/** js sends whatever addresses it has; ours fit a signed record. */
export const ANNOUNCEMENT_MAX = 8 * KiB
export const ANNOUNCEMENT_MAX_ADDRESSES = 64
/** js: at the start, and then each ten seconds. */
export const ANNOUNCEMENT_INTERVAL = 10_000
/** Members whose announcements of an interval do not slow ours: with n members each is heard n times, so beyond that all take turns. */
export const ANNOUNCEMENT_CROWD = 20
/** Members that are counted: of more, the wait between two announcements would be minutes as well. */
export const ANNOUNCEMENT_MAX_HEARD = 4_096

// ── rooms ────────────────────────────────────────────────────────────────────────────────────────────────────────
/** Bytes of a room's name: with what is before it, a namespace of rendezvous takes it. */
export const ROOM_MAX_NAME = 200
/** The slow hash of a password (scrypt, RFC 7914): 64 MiB and some 300 ms for each guess. Part of the protocol: other numbers are another room. */
export const ROOM_SCRYPT = { N: 65_536, r: 8, p: 1 } as const
/** One message of the application; a larger one is a file. */
export const ROOM_MAX_MESSAGE = 1 * MiB
/** One part of it, so that its frame fits GOSSIP_MAX_DATA. */
export const ROOM_MAX_PART = 56 * KiB
/** What a member tells of itself, as JSON: it goes out with every sign of life. */
export const ROOM_MAX_PRESENCE = 4 * KiB
/** A frame on a stream between two members: a part, and the words around it. */
export const ROOM_MAX_FRAME = ROOM_MAX_PART + 1 * KiB
/** Members that are kept count of; all that there is of one is some kilobytes, most of them its presence. */
export const ROOM_MAX_MEMBERS = 1_000
/** Members gone whose numbers are remembered, so that nothing of them is told twice. */
export const ROOM_MAX_GONE = 4_096
/** Members that a member seeks to be connected with: below that all with all, beyond it gossip carries the rest. */
export const ROOM_LINKS = 16
/** Rooms that a peer is in at a time: each costs a registration and a watch at each relay. */
export const ROOM_MAX_ROOMS = 64
/** Signs of life of a member in a small room; in a crowd they are as many times further apart as there are ROOM_CROWD members. */
export const ROOM_BEAT = 10_000
export const ROOM_CROWD = 50
/** A member that has given no sign for so many of its beats is gone. */
export const ROOM_MISSED = 2.5
/** No member may be waited for longer, whatever it says of its beats. */
export const ROOM_MAX_BEAT = 120_000
/** One whose last connection broke and that nobody finds any more is gone after this, unless it is heard by way of others. */
export const ROOM_LOST = 3_000
/** How late a timer has to be for us to have slept, and not the others: they then have so long again. */
export const ROOM_SLEPT = 5_000
/** Between two changes of presence that are told: a display shows sixty a second. */
export const ROOM_PRESENCE_INTERVAL = 16
/** A newcomer is told of us within this, where no stream to it has done so already. */
export const ROOM_WELCOME = 400
/** Where a stranger's first messages come by gossip, its own word on where they begin may come so much later. */
export const ROOM_FIRST_WAIT = 300
/** A message that is missing is asked for after this, and again after as long; after the second it is gone without. */
export const ROOM_ASK = 150
export const ROOM_ASK_AGAIN = 1_000
export const ROOM_GAP = 5_000
/** Messages that wait for one before them, of one member and of all. */
export const ROOM_MAX_HELD = 4_096
export const ROOM_MAX_HELD_BYTES = 4 * MiB
export const ROOM_MAX_HELD_BYTES_OF_ALL = 16 * MiB
/** Our own latest messages, for whoever has missed one. */
export const ROOM_MAX_KEPT = 4_096
export const ROOM_MAX_KEPT_BYTES = 4 * MiB
/** Members of whom a word for all says what was said to them alone before it; of more at a time the order of the two is not kept. */
export const ROOM_MAX_FENCES = 32
/** Repeats for one question: it is asked again for the rest. */
export const ROOM_MAX_REPEATS = 1_024
/** Messages of one member: so many at once, and then so many a second. More of them are neither told nor passed on. */
export const ROOM_BURST = 8_192
export const ROOM_RATE = 2_000
/** What is on its way to one member by stream and not confirmed; more has to wait with who sends it. */
export const ROOM_MAX_UNCONFIRMED = 1 * MiB
/** A member for whom more than that waits is behind: what is said meanwhile goes by gossip, which has bounds of its own. */
export const ROOM_KEEPS_UP = 256 * KiB
/** Streams of one connection's remote: one for each room, and a later one that takes its place. */
export const ROOM_MAX_INBOUND = 2 * ROOM_MAX_ROOMS
/** After a stream to a member broke on a connection that stands, doubled each time, so many times. */
export const ROOM_REOPEN_MIN = 100
export const ROOM_REOPEN_TRIES = 6
/** From `join` to its answer: the relays have told who is there, and those have been met. */
export const ROOM_JOIN_TIMEOUT = 6_000
/** So long the answers of all of several relays are waited for; then one is enough. */
export const ROOM_JOIN_PATIENCE = 1_500
/** Those who were found and are not met in this time are not waited for. */
export const ROOM_MEET_TIMEOUT = 3_000
/** Seconds that a registration lives: so long a page that died is still found. */
export const ROOM_TTL = 120
/** Dials for members at a time, and those found who wait for one. */
export const ROOM_MAX_DIALS = 4
export const ROOM_MAX_FOUND = 1_000
/** One word of a file: what ChaCha20-Poly1305 seals at a time, and some. */
export const ROOM_FILE_CHUNK = 60 * KiB
export const ROOM_FILE_MAX_FRAME = 64 * KiB
/** What is read of a file at a time; two of them wait at most. */
export const ROOM_FILE_BLOCK = 1 * MiB
/** How often the receiver says how far it is, in bytes. */
export const ROOM_FILE_REPORT = 1 * MiB
/** Bytes of a file's name and of its type. */
export const ROOM_FILE_MAX_NAME = 255
export const ROOM_FILE_MAX_TYPE = 127
/** Milliseconds that both sides wait for a transfer whose connection broke to go on: a relay, or a laptop, is started again. */
export const ROOM_FILE_PATIENCE = 120_000
/** What the application has to decide on a file that it is offered. */
export const ROOM_FILE_DECIDE = 600_000
/** Between two tries to go on. */
export const ROOM_FILE_RETRY_MIN = 250
export const ROOM_FILE_RETRY_MAX = 5_000
/** Files that one member may offer or send at a time, and all together. */
export const ROOM_FILE_MAX_OF_ONE = 16
export const ROOM_FILE_MAX = 128
/** Transfers that are over and remembered, for a sender who has not heard so. */
export const ROOM_FILE_MAX_DONE = 128
