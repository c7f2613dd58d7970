//! Names of a schema as numbers, and which columns its foreign keys make one.

use super::Schema;
use super::tree::Column;
use std::collections::HashMap;

/// Finds tables and columns by name without case.
pub struct Names {
    tables: HashMap<String, usize>,
    columns: Vec<HashMap<String, usize>>,
    /// Every column of a foreign key, and the first column of its set.
    same: HashMap<Column, Column>,
}

impl Names {
    pub fn new(schema: &Schema) -> Self {
        let mut names = Self {
            tables: HashMap::new(),
            columns: Vec::new(),
            same: HashMap::new(),
        };
        for (at, table) in schema.tables.iter().enumerate() {
            names.tables.entry(lower(&table.name)).or_insert(at);
            let columns = table.columns.iter().enumerate();
            names
                .columns
                .push(columns.map(|(at, name)| (lower(name), at)).collect());
        }
        names.join(schema);
        names
    }

    pub fn table(&self, name: &str) -> Option<usize> {
        self.tables.get(&lower(name)).copied()
    }

    pub fn column(&self, table: usize, name: &str) -> Option<Column> {
        let column = *self.columns.get(table)?.get(&lower(name))?;
        Some(Column::Of(table, column))
    }

    /// The column that stands for all that foreign keys make one with `column`.
    pub fn representative(&self, column: Column) -> Column {
        self.same.get(&column).copied().unwrap_or(column)
    }

    fn join(&mut self, schema: &Schema) {
        // Links go to earlier columns only, so following them ends.
        let mut links: HashMap<Column, Column> = HashMap::new();
        let first = |links: &HashMap<Column, Column>, mut column: Column| {
            while let Some(&earlier) = links.get(&column) {
                column = earlier;
            }
            column
        };
        for (one, other) in &schema.foreign_keys {
            let find = |(table, column): &(String, String)| self.column(self.table(table)?, column);
            if let (Some(one), Some(other)) = (find(one), find(other)) {
                let (one, other) = (first(&links, one), first(&links, other));
                if one != other {
                    links.insert(one.max(other), one.min(other));
                }
            }
        }
        self.same = links
            .keys()
            .map(|&column| (column, first(&links, column)))
            .collect();
    }
}

/// The form in which names are compared.
pub fn lower(name: &str) -> String {
    name.to_lowercase()
}
