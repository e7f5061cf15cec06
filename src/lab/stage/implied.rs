//! Params that were added to a kind after stages of it had been computed, and how they stay out of the keys of these.

use serde_json::{Map, Value};

use super::{ImpliedParam, Kind, Stage};

impl ImpliedParam {
    /// The param's name and the table of `params` that would have it; `None` if there is no such table.
    fn place<'p>(&self, params: &'p mut Value) -> Option<(&'static str, &'p mut Map<String, Value>)> {
        let (param, tables) = self.path.split_last()?;
        let table = tables.iter().try_fold(params, |at, table| at.get_mut(*table))?;
        Some((param, table.as_object_mut()?))
    }
}

impl Kind {
    /// The params of a stage as they enter its key: all but those that have the value that was implied before they existed.
    pub fn key_params(&self, stage: &dyn Stage) -> Value {
        let mut params = stage.params();
        for implied in self.implied {
            if let Some((param, fields)) = implied.place(&mut params)
                && fields.get(param) == Some(&(implied.value)())
            {
                fields.remove(param);
            }
        }
        params
    }

    /// Adds to the params of a key ([`Kind::key_params`]) the implied values that they leave out, so that they read as the stage that they
    /// were written for, whatever the defaults are now.
    pub fn with_implied(&self, mut params: Value) -> Value {
        for implied in self.implied {
            if let Some((param, fields)) = implied.place(&mut params)
                && !fields.contains_key(param)
            {
                fields.insert(param.to_owned(), (implied.value)());
            }
        }
        params
    }
}
