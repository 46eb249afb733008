//! The few requests of Kafka's protocol that starting a broker takes. Its own tools do all else, but a Java machine for
//! each question would cost seconds where these cost milliseconds.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
const TOPIC_ALREADY_EXISTS: i16 = 36;
const PATIENCE: Duration = Duration::from_secs(20);
/// More than any answer that is asked for here.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The ids of the brokers that take part in the cluster, as the first of `bootstrap` that answers sees them.
pub fn brokers(bootstrap: &str) -> Result<Vec<i32>> {
    Ok(metadata(&mut Connection::open(bootstrap)?, &[])?.brokers)
}

/// Creates a topic, at the broker's default replication, and returns when each partition has a leader.
pub fn create_topic(bootstrap: &str, name: &str, partitions: u32, configs: &[(&str, &str)]) -> Result<()> {
    let mut connection = Connection::open(bootstrap)?;
    let mut body = Writer::default();
    body.int32(1).string(name).int32(i32::try_from(partitions)?);
    // Replication as the broker's default has it, and no assignment of ours.
    body.int16(-1).int32(0).int32(i32::try_from(configs.len())?);
    for (key, value) in configs {
        body.string(key).string(value);
    }
    body.int32(i32::try_from(PATIENCE.as_millis())?).bytes(&[0]);
    // Version 4 is the first that knows -1 as "the broker's default" replication.
    let answer = connection.call(CREATE_TOPICS, 4, &body)?;
    let mut answer = Reader(&answer);
    let (_throttled, _topics, _name) = (answer.int32()?, answer.int32()?, answer.string()?);
    let (code, reason) = (answer.int16()?, answer.string()?);
    ensure!(
        code == 0 || code == TOPIC_ALREADY_EXISTS,
        "the topic {name} cannot be created: error {code}: {reason}"
    );
    let began = Instant::now();
    loop {
        let led = metadata(&mut connection, &[name])?.led_partitions;
        if led >= partitions as usize {
            return Ok(());
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "the topic {name} has leaders for {led} of {partitions} partitions only"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Metadata {
    brokers: Vec<i32>,
    /// Of the topics asked for: partitions that have a leader.
    led_partitions: usize,
}

/// About brokers, and about the topics named.
fn metadata(connection: &mut Connection, topics: &[&str]) -> Result<Metadata> {
    let mut body = Writer::default();
    body.int32(i32::try_from(topics.len())?);
    for topic in topics {
        body.string(topic);
    }
    let answer = connection.call(METADATA, 1, &body)?;
    let mut answer = Reader(&answer);
    let mut found = Metadata { brokers: Vec::new(), led_partitions: 0 };
    for _ in 0..answer.int32()? {
        found.brokers.push(answer.int32()?);
        let (_host, _port, _rack) = (answer.string()?, answer.int32()?, answer.string()?);
    }
    let _controller = answer.int32()?;
    for _ in 0..answer.int32()? {
        let (_code, _name, _internal) = (answer.int16()?, answer.string()?, answer.take(1)?);
        for _ in 0..answer.int32()? {
            let (code, _partition, leader) = (answer.int16()?, answer.int32()?, answer.int32()?);
            for _ in 0..2 {
                let replicas = answer.int32()?.max(0);
                answer.take(4 * usize::try_from(replicas)?)?;
            }
            found.led_partitions += usize::from(code == 0 && leader >= 0);
        }
    }
    Ok(found)
}

struct Connection {
    stream: TcpStream,
    requests: i32,
}

impl Connection {
    /// To the first of the addresses (`host:port`, separated by commas) that takes it.
    fn open(bootstrap: &str) -> Result<Self> {
        let mut last = None;
        for address in bootstrap.split(',') {
            let resolved = address.to_socket_addrs().with_context(|| format!("{address} is no host:port"))?;
            for address in resolved {
                match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
                    Ok(stream) => {
                        stream.set_read_timeout(Some(PATIENCE))?;
                        stream.set_nodelay(true)?;
                        return Ok(Self { stream, requests: 0 });
                    }
                    Err(error) => last = Some(error),
                }
            }
        }
        match last {
            Some(error) => Err(error).with_context(|| format!("nobody listens at {bootstrap}")),
            None => bail!("{bootstrap} names no address"),
        }
    }

    /// One request and the body of its answer. For versions before the flexible ones only.
    fn call(&mut self, api: i16, version: i16, body: &Writer) -> Result<Vec<u8>> {
        self.requests += 1;
        let mut request = Writer::default();
        request.int16(api).int16(version).int32(self.requests).string("postrider-brokers").bytes(&body.0);
        self.stream.write_all(&i32::try_from(request.0.len())?.to_be_bytes())?;
        self.stream.write_all(&request.0)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).context("the broker does not answer")?;
        let size = usize::try_from(i32::from_be_bytes(size))?;
        ensure!((4..=ANSWER_BYTES_MAX).contains(&size), "an answer of {size} bytes is none of Kafka's");
        let mut answer = vec![0; size];
        self.stream.read_exact(&mut answer).context("the broker's answer is cut off")?;
        // Only one request is ever open, so what stands first, its number, says nothing new.
        Ok(answer.split_off(4))
    }
}

/// Integers are big-endian; strings and arrays are led by their length.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn int16(&mut self, value: i16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    fn int32(&mut self, value: i32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    fn string(&mut self, text: &str) -> &mut Self {
        let length = i16::try_from(text.len()).expect("names and values here are short");
        self.int16(length).bytes(text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).context("the broker's answer ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn int16(&mut self) -> Result<i16> {
        let taken = self.take(2)?;
        Ok(i16::from_be_bytes([taken[0], taken[1]]))
    }

    fn int32(&mut self) -> Result<i32> {
        let taken = self.take(4)?;
        Ok(i32::from_be_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    /// Null reads as the empty string.
    fn string(&mut self) -> Result<String> {
        let length = usize::try_from(self.int16()?.max(0))?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }
}
