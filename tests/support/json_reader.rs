//! Reads JSON, as little of it as the tests need.

pub enum Value {
    /// null, true or false.
    Word,
    Number(f64),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    /// What a key of an object holds; panics if there is no such key.
    pub fn get(&self, key: &str) -> &Value {
        let found = self.members().iter().find(|(name, _)| name == key);
        &found.unwrap_or_else(|| panic!("no `{key}`")).1
    }

    pub fn members(&self) -> &[(String, Value)] {
        match self {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => "",
        }
    }

    pub fn number(&self) -> i64 {
        match self {
            Value::Number(number) => *number as i64,
            _ => panic!("not a number"),
        }
    }
}

/// Panics on anything that is not JSON.
pub fn parse(text: &str) -> Value {
    value(&mut text.trim())
}

fn value(rest: &mut &str) -> Value {
    match rest.chars().next().expect("a value") {
        '{' => Value::Object(list(rest, '}', |rest| {
            let key = string(rest);
            skip(rest, ':');
            (key, value(rest))
        })),
        '[' => Value::Array(list(rest, ']', value)),
        '"' => Value::Text(string(rest)),
        _ => {
            let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            *rest = after;
            match word {
                "null" | "true" | "false" => Value::Word,
                _ => Value::Number(word.parse().expect("a number")),
            }
        }
    }
}

fn skip(rest: &mut &str, mark: char) {
    *rest = rest.strip_prefix(mark).expect("the next mark");
}

fn list<T>(rest: &mut &str, end: char, item: impl Fn(&mut &str) -> T) -> Vec<T> {
    *rest = &rest[1..];
    let mut items = Vec::new();
    while !rest.starts_with(end) {
        if !items.is_empty() {
            skip(rest, ',');
        }
        items.push(item(rest));
    }
    skip(rest, end);
    items
}

fn string(rest: &mut &str) -> String {
    skip(rest, '"');
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                *rest = &rest[at + 1..];
                return text;
            }
            '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
            c => text.push(c),
        }
    }
    panic!("a string without an end");
}
