//! ONNX files written here, so that the tests need none.

/// Bytes of a protobuf message under construction.
#[derive(Debug, Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn int(mut self, field: u32, value: i64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value as u64);
        self
    }

    pub fn float(mut self, field: u32, value: f32) -> Self {
        self.varint(u64::from(field) << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }
}

/// A graph with its operator set.
#[derive(Debug, Clone)]
pub struct File {
    pub opset: i64,
    pub ir: i64,
    pub graph: Message,
}

impl File {
    pub fn new(opset: i64) -> Self {
        Self { opset, ir: 8, graph: Message::default().text(2, "small") }
    }

    fn port(mut self, field: u32, name: &str, ty: i64, shape: &[&str]) -> Self {
        let dims = shape.iter().fold(Message::default(), |m, d| {
            let dim = match d.parse() {
                Ok(size) => Message::default().int(1, size),
                Err(_) => Message::default().text(2, d),
            };
            m.bytes(1, &dim.0)
        });
        let tensor = Message::default().int(1, ty).bytes(2, &dims.0);
        let info = Message::default().text(1, name).bytes(2, &Message::default().bytes(1, &tensor.0).0);
        self.graph = self.graph.bytes(field, &info.0);
        self
    }

    /// A float input; sizes that are no numbers are names.
    pub fn input(self, name: &str, shape: &[&str]) -> Self {
        self.port(11, name, 1, shape)
    }

    pub fn output(self, name: &str) -> Self {
        self.port(12, name, 1, &[])
    }

    /// A constant with raw bytes.
    pub fn raw(mut self, name: &str, ty: i64, shape: &[usize], bytes: &[u8]) -> Self {
        let tensor = shape.iter().fold(Message::default(), |m, d| m.int(1, *d as i64));
        self.graph = self.graph.bytes(5, &tensor.int(2, ty).text(8, name).bytes(9, bytes).0);
        self
    }

    pub fn floats(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.raw(name, 1, shape, &bytes)
    }

    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.raw(name, 7, &[values.len()], &bytes)
    }

    /// A node called as its output, with attributes made by [`int`] and its like.
    pub fn node(self, op: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Self {
        self.node_in("", op, inputs, &[output], attributes)
    }

    pub fn node_in(
        mut self,
        domain: &str,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[Message],
    ) -> Self {
        let node = inputs.iter().fold(Message::default(), |m, i| m.text(1, i));
        let node = outputs.iter().fold(node, |m, o| m.text(2, o)).text(3, outputs[0]).text(4, op).text(7, domain);
        let node = attributes.iter().fold(node, |m, a| m.bytes(5, &a.0));
        self.graph = self.graph.bytes(1, &node.0);
        self
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let opset = Message::default().int(2, self.opset);
        Message::default().int(1, self.ir).bytes(8, &opset.0).bytes(7, &self.graph.0).0
    }
}

pub fn int(name: &str, value: i64) -> Message {
    Message::default().text(1, name).int(3, value).int(20, 2)
}

pub fn float(name: &str, value: f32) -> Message {
    Message::default().text(1, name).float(2, value).int(20, 1)
}

pub fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::default().text(1, name), |m, v| m.int(8, *v)).int(20, 7)
}

pub fn text(name: &str, value: &str) -> Message {
    Message::default().text(1, name).text(4, value).int(20, 3)
}
