pub struct Schema {
    pub tables: Vec<Table>,
    pub foreign_keys: Vec<((String, String), (String, String))>,
}
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
}
pub fn exact_set_match(_p: &str, _g: &str, _s: &Schema) -> Result<bool, String> {
    Ok(false)
}
