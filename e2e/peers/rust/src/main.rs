//! A rust-libp2p peer for tests: a rendezvous client and server, and gossipsub (rooms.rs). Its first line of JSON says that it is ready; then `{ id, cmd, … }` on
//! stdin is answered by `{ id, result }` or `{ id, error }` on stdout.

mod rooms;

use std::{error::Error, time::Duration};

use futures::StreamExt;
use libp2p::{
    core::upgrade::Version,
    gossipsub, identify, identity, noise, ping, rendezvous,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, websocket, yamux, Multiaddr, PeerId, Swarm, Transport,
};
use rendezvous::{Cookie, Namespace, Registration};
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    gossip: gossipsub::Behaviour,
    client: rendezvous::client::Behaviour,
    server: rendezvous::server::Behaviour,
}

/// A command that waits for an event: what it is about, and its id.
struct Waiting {
    what: &'static str,
    peer: PeerId,
    id: Value,
}

/// What the peer knows beside its swarm.
#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// What its server has heard, oldest first.
    served: Vec<Value>,
    rooms: rooms::Rooms,
}

impl State {
    fn answer(&mut self, what: &str, peer: PeerId, result: Result<Value, String>) {
        if let Some(at) = self.waiting.iter().position(|one| one.what == what && one.peer == peer) {
            let Waiting { id, .. } = self.waiting.remove(at);
            say(id, result);
        }
    }
}

fn say(id: Value, result: Result<Value, String>) {
    println!(
        "{}",
        match result {
            Ok(result) => json!({ "id": id, "result": result }),
            Err(message) => json!({ "id": id, "error": { "name": "Error", "message": message } }),
        }
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options: Value = serde_json::from_str(&std::env::args().nth(1).unwrap_or_else(|| "{}".into()))?;
    let key = identity::Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();

    let secured = |key: &identity::Keypair| noise::Config::new(key);
    let pipes = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1)
        .authenticate(secured(&key)?)
        .multiplex(yamux::Config::default());
    let sockets = websocket::Config::new(tcp::tokio::Transport::new(tcp::Config::default()))
        .upgrade(Version::V1)
        .authenticate(secured(&key)?)
        .multiplex(yamux::Config::default());
    let transport = sockets
        .or_transport(pipes)
        .map(|either, _| match either {
            futures::future::Either::Left((peer, muxer)) => (peer, libp2p::core::muxing::StreamMuxerBox::new(muxer)),
            futures::future::Either::Right((peer, muxer)) => (peer, libp2p::core::muxing::StreamMuxerBox::new(muxer)),
        })
        .boxed();

    let mut limits = rendezvous::server::Config::default();
    if let Some(ttl) = options["minTtl"].as_u64() {
        limits = limits.with_min_ttl(ttl);
    }
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(
            identify::Config::new("ipfs/0.1.0".into(), key.public()).with_agent_version("rust-libp2p/0.56".into()),
        ),
        ping: ping::Behaviour::default(),
        gossip: rooms::behaviour(key.clone(), &options["pubsub"])?,
        client: rendezvous::client::Behaviour::new(key),
        server: rendezvous::server::Behaviour::new(limits),
    };
    let config = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(3600));
    let mut swarm = Swarm::new(transport, behaviour, peer, config);

    let wanted: Vec<Multiaddr> = options["listen"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|text| text.as_str()?.parse().ok())
        .collect();
    for address in &wanted {
        swarm.listen_on(address.clone())?;
    }
    let mut state = State::default();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut ready = false;
    let mut turns = tokio::time::interval(rooms::TURN);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if !ready && swarm.listeners().count() >= wanted.len() {
            ready = true;
            println!("{}", json!({ "peerId": peer.to_string(), "addresses": addresses(&swarm) }));
        }
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    let command: Value = serde_json::from_str(&line)?;
                    let id = command["id"].clone();
                    if let Some(result) = run(&mut swarm, &mut state, &command).transpose() {
                        say(id, result);
                    }
                }
                // Who started it is gone.
                None => return Ok(()),
            },
            _ = turns.tick(), if state.rooms.bursting() => {
                if let Some((id, result)) = state.rooms.turn(&mut swarm.behaviour_mut().gossip, &peer) {
                    say(id, result);
                }
            }
            event = swarm.select_next_some() => hear(&mut state, event),
        }
    }
}

fn addresses(swarm: &Swarm<Behaviour>) -> Vec<String> {
    let peer = *swarm.local_peer_id();
    swarm
        .listeners()
        .map(|each| each.clone().with_p2p(peer).expect("no other peer").to_string())
        .collect()
}

/// Nothing where the answer comes with an event.
fn run(swarm: &mut Swarm<Behaviour>, state: &mut State, command: &Value) -> Result<Option<Value>, String> {
    let text = |name: &str| command[name].as_str().map(str::to_owned);
    let namespace = || text("namespace").map(Namespace::new).transpose().map_err(|err| err.to_string());
    let target = || {
        let target = text("target").ok_or("no target")?;
        target.parse::<PeerId>().map_err(|err| err.to_string())
    };
    let mut wait = |what, peer| {
        state.waiting.push(Waiting {
            what,
            peer,
            id: command["id"].clone(),
        })
    };
    match command["cmd"].as_str().unwrap_or_default() {
        "addresses" => Ok(Some(json!(addresses(swarm)))),
        "served" => Ok(Some(Value::Array(state.served.clone()))),
        "connections" => Ok(Some(json!(swarm.connected_peers().map(PeerId::to_string).collect::<Vec<_>>()))),
        "dial" => {
            let address: Multiaddr = text("target").ok_or("no target")?.parse().map_err(|err| format!("{err}"))?;
            let Some(libp2p::multiaddr::Protocol::P2p(peer)) = address.iter().last() else {
                return Err("no /p2p".into());
            };
            swarm.dial(address).map_err(|err| err.to_string())?;
            wait("dial", peer);
            Ok(None)
        }
        // A record names external addresses only: nobody has confirmed those of this machine.
        "register" => {
            for address in swarm.listeners().cloned().collect::<Vec<_>>() {
                swarm.add_external_address(address);
            }
            let namespace = namespace()?.ok_or("no namespace")?;
            let peer = target()?;
            let ttl = command["ttl"].as_u64();
            swarm
                .behaviour_mut()
                .client
                .register(namespace, peer, ttl)
                .map_err(|err| err.to_string())?;
            wait("register", peer);
            Ok(None)
        }
        "unregister" => {
            let namespace = namespace()?.ok_or("no namespace")?;
            swarm.behaviour_mut().client.unregister(namespace, target()?);
            Ok(Some(Value::Null))
        }
        "discover" => {
            let cookie = text("cookie")
                .map(|hex| Cookie::from_wire_encoding(unhex(&hex)))
                .transpose()
                .map_err(|err| err.to_string())?;
            let peer = target()?;
            swarm
                .behaviour_mut()
                .client
                .discover(namespace()?, cookie, command["limit"].as_u64(), peer);
            wait("discover", peer);
            Ok(None)
        }
        _ => state.rooms.run(&mut swarm.behaviour_mut().gossip, command),
    }
}

fn hear(state: &mut State, event: SwarmEvent<BehaviourEvent>) {
    use rendezvous::{client, server};
    match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } => state.answer("dial", peer_id, Ok(Value::Null)),
        SwarmEvent::OutgoingConnectionError {
            peer_id: Some(peer),
            error,
            ..
        } => state.answer("dial", peer, Err(error.to_string())),
        SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => {
            if let Some((id, result)) = state.rooms.hear(event) {
                say(id, result);
            }
        }
        SwarmEvent::Behaviour(BehaviourEvent::Client(event)) => match event {
            client::Event::Registered { rendezvous_node, ttl, .. } => state.answer("register", rendezvous_node, Ok(json!({ "ttl": ttl }))),
            client::Event::RegisterFailed {
                rendezvous_node, error, ..
            } => {
                state.answer("register", rendezvous_node, Err(format!("{error:?}")));
            }
            client::Event::Discovered {
                rendezvous_node,
                registrations,
                cookie,
            } => {
                let found: Vec<_> = registrations.iter().map(plain).collect();
                let cookie = hex(&cookie.into_wire_encoding());
                state.answer("discover", rendezvous_node, Ok(json!({ "registrations": found, "cookie": cookie })));
            }
            client::Event::DiscoverFailed {
                rendezvous_node, error, ..
            } => {
                state.answer("discover", rendezvous_node, Err(format!("{error:?}")));
            }
            client::Event::Expired { .. } => {}
        },
        SwarmEvent::Behaviour(BehaviourEvent::Server(event)) => {
            let heard = match event {
                server::Event::PeerRegistered { registration, .. } => json!({ "registered": plain(&registration) }),
                server::Event::PeerNotRegistered { peer, error, .. } => {
                    json!({ "refused": peer.to_string(), "error": format!("{error:?}") })
                }
                server::Event::PeerUnregistered { peer, namespace } => {
                    json!({ "unregistered": peer.to_string(), "namespace": namespace.to_string() })
                }
                _ => return,
            };
            state.served.push(heard);
        }
        _ => {}
    }
}

fn plain(registration: &Registration) -> Value {
    json!({
        "peerId": registration.record.peer_id().to_string(),
        "namespace": registration.namespace.to_string(),
        "ttl": registration.ttl,
        "addresses": registration.record.addresses().iter().map(Multiaddr::to_string).collect::<Vec<_>>(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .filter_map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok())
        .collect()
}
