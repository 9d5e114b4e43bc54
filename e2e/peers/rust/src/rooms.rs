//! Gossipsub of the peer, and its commands: those of the go-libp2p peer (../../go/rooms.go). Bytes cross in base64.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use libp2p::{gossipsub, identity, PeerId};
use serde_json::{json, Value};

/// A turn of a burst, and how many messages go in one at most: see ../../js/series.mjs.
pub const TURN: Duration = Duration::from_millis(5);
const MOST_A_TURN: u64 = 4;

/// What came in a topic until it is asked for, and the count of numbered messages.
#[derive(Default)]
struct Room {
    received: Vec<Value>,
    senders: BTreeMap<String, (u64, HashSet<u64>)>,
    wrong: u64,
    /// Who waits for so many messages.
    waiting: Option<(Value, usize)>,
}

struct Burst {
    id: Value,
    topic: String,
    n: u64,
    count: u64,
    bytes: usize,
    rate: f64,
    began: Instant,
}

#[derive(Default)]
pub struct Rooms {
    open: HashMap<String, Room>,
    burst: Option<Burst>,
}

/// What a command brings: an answer now, or one with an event.
pub type Outcome = Result<Option<Value>, String>;
/// An answer to a command that has waited.
pub type Late = Option<(Value, Result<Value, String>)>;

/// `messageId` is "go", `from ‖ seqno`, or "rust", its own: both as text.
pub fn behaviour(key: identity::Keypair, options: &Value) -> Result<gossipsub::Behaviour, String> {
    let mut config = gossipsub::ConfigBuilder::default();
    if options["messageId"].as_str() != Some("rust") {
        config.message_id_fn(|message| {
            let mut id = message.source.map(PeerId::to_bytes).unwrap_or_default();
            id.extend(message.sequence_number.unwrap_or_default().to_be_bytes());
            gossipsub::MessageId::new(&id)
        });
    }
    // A burst on a busy machine waits longer than the defaults of five seconds for one's own and one for others'.
    config.publish_queue_duration(Duration::from_secs(60)).forward_queue_duration(Duration::from_secs(60));
    let config = config.build().map_err(|err| err.to_string())?;
    gossipsub::Behaviour::new(gossipsub::MessageAuthenticity::Signed(key), config).map_err(str::to_owned)
}

impl Rooms {
    pub fn run(&mut self, gossip: &mut gossipsub::Behaviour, command: &Value) -> Outcome {
        let name = command["topic"].as_str().ok_or("no topic")?;
        let topic = gossipsub::IdentTopic::new(name);
        match command["cmd"].as_str().unwrap_or_default() {
            "join" => {
                gossip.subscribe(&topic).map_err(|err| err.to_string())?;
                self.open.entry(name.into()).or_default();
                Ok(Some(Value::Null))
            }
            "leave" => {
                gossip.unsubscribe(&topic);
                self.open.remove(name);
                Ok(Some(Value::Null))
            }
            "publish" => {
                let data = unbase64(command["data"].as_str().unwrap_or_default());
                gossip.publish(topic, data).map_err(|err| err.to_string())?;
                Ok(Some(Value::Null))
            }
            "messages" => {
                let room = self.open.get_mut(name).ok_or("not joined")?;
                let count = command["count"].as_u64().unwrap_or(0) as usize;
                if room.received.len() >= count {
                    return Ok(Some(Value::Array(std::mem::take(&mut room.received))));
                }
                room.waiting = Some((command["id"].clone(), count));
                Ok(None)
            }
            "subscribers" => {
                let hash = topic.hash();
                let peers: Vec<_> = gossip
                    .all_peers()
                    .filter(|(_, topics)| topics.contains(&&hash))
                    .map(|(peer, _)| peer.to_string())
                    .collect();
                Ok(Some(json!(peers)))
            }
            "mesh" => Ok(Some(json!(gossip.mesh_peers(&topic.hash()).map(PeerId::to_string).collect::<Vec<_>>()))),
            "burst" => {
                self.burst = Some(Burst {
                    id: command["id"].clone(),
                    topic: name.into(),
                    n: 0,
                    count: command["count"].as_u64().unwrap_or(0),
                    bytes: command["bytes"].as_u64().unwrap_or(0) as usize,
                    rate: command["rate"].as_f64().unwrap_or(1.0),
                    began: Instant::now(),
                });
                Ok(None)
            }
            "tally" => {
                let room = self.open.get(name).ok_or("not joined")?;
                let senders: serde_json::Map<_, _> = room
                    .senders
                    .iter()
                    .map(|(from, (count, seen))| (from.clone(), json!({ "count": count, "distinct": seen.len() })))
                    .collect();
                Ok(Some(json!({ "senders": senders, "wrong": room.wrong })))
            }
            other => Err(format!("no command {other}")),
        }
    }

    pub fn hear(&mut self, event: gossipsub::Event) -> Late {
        let gossipsub::Event::Message {
            propagation_source,
            message_id,
            message,
        } = event
        else {
            return None;
        };
        let room = self.open.get_mut(message.topic.as_str())?;
        let from = message.source.map(|peer| peer.to_string()).unwrap_or_default();
        if let Some((named, n)) = numbered(&message.data) {
            if named == from {
                let heard = room.senders.entry(from).or_default();
                heard.0 += 1;
                heard.1.insert(n);
            } else {
                room.wrong += 1;
            }
            return None;
        }
        room.received.push(json!({
            "from": from,
            "receivedFrom": propagation_source.to_string(),
            "seqno": message.sequence_number.map(|n| base64(&n.to_be_bytes())).unwrap_or_default(),
            "data": base64(&message.data),
            "id": base64(&message_id.0),
        }));
        let (id, _) = room.waiting.take_if(|(_, count)| room.received.len() >= *count)?;
        Some((id, Ok(Value::Array(std::mem::take(&mut room.received)))))
    }

    pub fn bursting(&self) -> bool {
        self.burst.is_some()
    }

    /// A turn of a burst: `rate` messages a second.
    pub fn turn(&mut self, gossip: &mut gossipsub::Behaviour, own: &PeerId) -> Late {
        let burst = self.burst.as_mut()?;
        let due = ((burst.began.elapsed() + TURN).as_secs_f64() * burst.rate).ceil() as u64;
        for _ in 0..MOST_A_TURN {
            if burst.n >= due.min(burst.count) {
                break;
            }
            let text = format!("{own} {} ", burst.n);
            let data = format!("{text:.<width$}", width = burst.bytes).into_bytes();
            if let Err(err) = gossip.publish(gossipsub::IdentTopic::new(&burst.topic), data) {
                let message = format!("{} of {} published: {err}", burst.n, burst.count);
                return self.burst.take().map(|burst| (burst.id, Err(message)));
            }
            burst.n += 1;
        }
        if burst.n < burst.count {
            return None;
        }
        self.burst.take().map(|burst| (burst.id, Ok(json!(burst.began.elapsed().as_millis() as u64))))
    }
}

/// A sender and a number, of `<sender> <number> …`.
fn numbered(data: &[u8]) -> Option<(&str, u64)> {
    let text = std::str::from_utf8(data).ok()?;
    let mut parts = text.splitn(3, ' ');
    let (from, n, rest) = (parts.next()?, parts.next()?, parts.next()?);
    if from.is_empty() || rest.chars().any(|each| each != '.') {
        return None;
    }
    Some((from, n.parse().ok()?))
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, i| word << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        for i in 0..4 {
            text.push(if i <= chunk.len() { DIGITS[(word >> (18 - 6 * i) & 63) as usize] as char } else { '=' });
        }
    }
    text
}

fn unbase64(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|each| DIGITS.iter().position(|digit| *digit == each));
    let (mut word, mut bits, mut bytes) = (0u32, 0, Vec::with_capacity(text.len() / 4 * 3));
    for digit in digits {
        word = word << 6 | digit as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    bytes
}
