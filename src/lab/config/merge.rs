//! Merging layers with figment, which no other file knows.
//!
//! figment keeps a tag for every value through a merge. Here the tag is the position of the value's origin in a list.

use std::cell::RefCell;

use figment::value::{Dict, Empty, Map, Num, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, U64Deserializer};

use super::{ConfigTable, ConfigValue, ValueData, ValueOrigin};

/// figment gives out small tags itself; ours count from here.
const FIRST_TAG: u64 = 1 << 48;

/// The fields of both layers: tables are merged field by field, any other value of `upper` takes the place of that of `lower`.
pub(super) fn merged(lower: ConfigTable, upper: ConfigTable) -> ConfigTable {
    let mut origins = TaggedOrigins::default();
    let layers = [origins.figment_table(lower), origins.figment_table(upper)];
    let merge = |figment: Figment, layer| figment.merge(FigmentLayer(RefCell::new(layer)));
    let profiles = layers.into_iter().fold(Figment::new(), merge).data().unwrap_or_default();
    let tree = profiles.into_values().next().unwrap_or_default();
    origins.config_table(tree)
}

/// One layer; figment takes its values once.
struct FigmentLayer(RefCell<Dict>);

impl Provider for FigmentLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named("experiment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.0.take())]))
    }
}

/// The origins of all values that figment has, by tag.
#[derive(Default)]
struct TaggedOrigins(Vec<ValueOrigin>);

impl TaggedOrigins {
    fn figment_table(&mut self, table: ConfigTable) -> Dict {
        table.into_iter().map(|(key, value)| (key, self.figment_value(value))).collect()
    }

    fn figment_value(&mut self, value: ConfigValue) -> Value {
        let tag = self.tag(value.origin);
        match value.data {
            ValueData::Null => Value::Empty(tag, Empty::None),
            ValueData::Bool(flag) => Value::Bool(tag, flag),
            ValueData::Integer(number) => Value::Num(tag, Num::I128(number)),
            ValueData::Float(number) => Value::Num(tag, Num::F64(number)),
            // Layers are merged before anything is filled in: there are no placeholders yet.
            ValueData::Text(text) | ValueData::Template(text) => Value::String(tag, text),
            ValueData::List(items) => Value::Array(tag, items.into_iter().map(|item| self.figment_value(item)).collect()),
            ValueData::Table(fields) => Value::Dict(tag, self.figment_table(fields)),
        }
    }

    fn config_table(&self, table: Dict) -> ConfigTable {
        table.into_iter().map(|(key, value)| (key, self.config_value(value))).collect()
    }

    fn config_value(&self, value: Value) -> ConfigValue {
        let origin = self.origin(value.tag());
        let data = match value {
            Value::Empty(..) => ValueData::Null,
            Value::Bool(_, flag) => ValueData::Bool(flag),
            Value::Num(_, Num::F64(number)) => ValueData::Float(number),
            Value::Num(_, number) => ValueData::Integer(number.to_i128().unwrap_or_default()),
            Value::String(_, text) => ValueData::Text(text),
            Value::Char(_, letter) => ValueData::Text(letter.into()),
            Value::Array(_, items) => ValueData::List(items.into_iter().map(|item| self.config_value(item)).collect()),
            Value::Dict(_, fields) => ValueData::Table(self.config_table(fields)),
        };
        ConfigValue::new(data, origin)
    }

    fn tag(&mut self, origin: ValueOrigin) -> Tag {
        let number: U64Deserializer<Error> = (FIRST_TAG + self.0.len() as u64).into_deserializer();
        self.0.push(origin);
        Tag::deserialize(number).unwrap_or_default()
    }

    fn origin(&self, tag: Tag) -> ValueOrigin {
        let number = Value::from(tag).to_u128().and_then(|number| number.checked_sub(FIRST_TAG.into()));
        let origin = number.and_then(|number| self.0.get(usize::try_from(number).ok()?));
        origin.cloned().unwrap_or_default()
    }
}
