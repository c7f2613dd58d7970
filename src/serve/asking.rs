//! Questions to databases that callers bring, as the page at `/` asks them: `/ask/databases`, `/ask`, `/ask/query`.

use super::State;
use super::error::ApiError;
use super::fields::Fields;
use super::http::{self, Body};
use super::models::{AUTO, Chosen};
use super::reply::{said, whole};
use super::request::Wanted;
use super::rules::Rules;
use super::served::{Served, beside, while_waited_for};
use super::shelf::Brought;
use crate::ask::{Answer, MOST_SAMPLES, Reply, SAMPLES, SURE, TEMPERATURE, route, sampling, shown};
use crate::data::asking::Asking;
use crate::data::record;
use crate::eval::stop::Stop;
use crate::eval::table::Shown;
use anyhow::Result;
use axum::Json;
use axum::extract::{Path, Request, State as Of};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// `POST /ask/databases`: a SQLite database, or a script that makes one, as the body. Gives it an id, and tells its tables.
pub async fn bring(Of(state): Of<State>, request: Request) -> Result<Json<Value>, ApiError> {
    let served = state.served()?;
    let shelf = || &served.shelf;
    let upload = shelf().upload()?;
    let file = shelf().file();
    let file = file.map_err(|error| ApiError::server(format!("{error:#}")))?;
    let file = http::store(request, file, shelf().bytes).await?;
    let reading = shelf().reading().await?;
    let shared = served.clone();
    let brought = while_waited_for(move |stop| {
        let _held = (upload, reading);
        let taken = shared.shelf.take(file, stop);
        taken
            .map_err(|error| ApiError::request(format!("this database cannot be asked: {error:#}")))
    });
    let brought = brought.await?;
    let tables = brought.source.tables().iter().map(|table| {
        let columns = table.columns.iter();
        let columns = columns.map(|column| json!({"name": column.name, "type": column.declared}));
        json!({"name": table.name, "columns": columns.collect::<Vec<_>>()})
    });
    let tables: Vec<Value> = tables.collect();
    Ok(Json(
        json!({"id": brought.id, "tables": tables, "note": brought.note}),
    ))
}

/// `DELETE /ask/databases/ID`
pub async fn forget(Of(state): Of<State>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    state.served()?.shelf.remove(&id)?;
    Ok(Json(json!({"id": id, "deleted": true})))
}

/// `POST /ask/query`: what `sql` returns on `database`.
pub async fn query(Of(state): Of<State>, Body(body): Body) -> Result<Json<Ran>, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let brought = database(&mut fields, &served)?;
    let sql = needed(&mut fields, "sql")?;
    fields.end()?;
    let desk = served.shelf.desk().await?;
    let run = move |stop: &Stop| {
        let _desk = desk;
        let ran = brought.source.run(&sql, stop);
        ran.map(|shown| brought.own(shown))
            .map_err(|error| fault(&brought, error))
    };
    Ok(Json(Ran {
        result: while_waited_for(run).await?,
    }))
}

/// What a query returned.
#[derive(Serialize)]
pub struct Ran {
    #[serde(serialize_with = "shown")]
    result: Shown,
}

/// `POST /ask`: the answer to `question` by `database`.
pub async fn ask(Of(state): Of<State>, Body(body): Body) -> Result<Json<Answer>, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let brought = database(&mut fields, &served)?;
    let question = needed(&mut fields, "question")?;
    let tables = fields.texts("tables", usize::MAX)?;
    let model = fields.text("model")?;
    let samples = fields.count("samples", 1, MOST_SAMPLES)?;
    let temperature = fields.number("temperature", 0.0, 2.0)?;
    let seed = fields.seed()?;
    let sure = fields.number("sure", 0.0, 1.0)?.unwrap_or(SURE);
    let rules = rules(&mut fields, &brought)?;
    fields.end()?;
    let sampler = sampling(
        samples.unwrap_or(SAMPLES),
        temperature.unwrap_or(TEMPERATURE),
        seed,
    );
    let checked = sampler.check();
    checked.map_err(|_| {
        ApiError::field(
            "temperature",
            "temperature 0 gives one answer: ask for samples 1, or a temperature above 0",
        )
    })?;
    served.refuse_long("question", question.len())?;
    let model = model.unwrap_or_else(|| served.models.first());
    let (shared, source, put) = (served.clone(), brought.clone(), question.clone());
    let (prompt, chosen) = {
        // Its prompt may need the database's values.
        let desk = served.shelf.desk().await?;
        let model = model.clone();
        beside(move || {
            let _desk = desk;
            asked(&shared, &source, &model, &tables, &put)
        })
        .await?
    };
    let prompt = served.prompt("question", &record::user(prompt)).await?;
    let mut wanted = Wanted {
        model,
        lora: None,
        sampler,
        rules,
        stop: served.loaded.stop.stop.clone(),
        max_tokens: served.loaded.stop.max_tokens,
        streams: false,
        usage: false,
    };
    let answers = wanted.sampler.samples;
    let updates = served
        .ask(
            "question",
            vec![prompt],
            &wanted,
            std::slice::from_ref(&chosen),
        )
        .await?;
    let replies = whole(updates, answers).await?;
    // One that left them is an answer like the others: its query runs or fails.
    wanted.rules = None;
    let reply = |answer| Ok(Reply::new(said(answer, &wanted)?, answer));
    let replies: Vec<Reply> = replies.iter().map(reply).collect::<Result<_, ApiError>>()?;
    let desk = served.shelf.desk().await?;
    let pick = move |stop: &Stop| {
        let _desk = desk;
        let picked = brought.source.pick(&replies, sure, stop);
        let mut picked = picked.map_err(|error| fault(&brought, error))?;
        picked.result = brought.own(picked.result);
        Ok(picked)
    };
    Ok(Json(Answer {
        question,
        picked: while_waited_for(pick).await?,
        adapters: chosen.parts,
        route: chosen.decision,
    }))
}

/// The prompt of a question, and what answers it.
fn asked(
    served: &Served,
    brought: &Brought,
    model: &str,
    tables: &[String],
    question: &str,
) -> Result<(String, Chosen), ApiError> {
    let source = &brought.source;
    let wrong = |error: anyhow::Error| ApiError::field("tables", format!("{error:#}"));
    let put = |asking: &Asking| source.put(asking, tables, question).map_err(wrong);
    let models = &served.models;
    let (asking, chosen) = match models.routing() {
        Some(router) if model == AUTO => {
            let askings = models.askings();
            let (place, decision) =
                route(router, source, tables, &askings, question).map_err(wrong)?;
            let (name, asking) = match place {
                Some(place) => (Some(&askings[place].0), askings[place].1.clone()),
                None => (None, Asking::default()),
            };
            let parts = name.map(|name| models.adapter(name)).transpose()?;
            let chosen = Chosen {
                parts: parts.unwrap_or_default(),
                decision: Some(decision),
            };
            (asking, chosen)
        }
        _ => {
            let chosen = models.named(model)?;
            let own = |(name, asking)| (name == model).then_some(asking);
            let asking = models.askings().into_iter().find_map(own);
            (asking.unwrap_or_default(), chosen)
        }
    };
    Ok((put(&asking)?, chosen))
}

/// What the answers are held to: the names of the database, unless said otherwise.
fn rules(fields: &mut Fields, brought: &Brought) -> Result<Option<Rules>, ApiError> {
    let constrain = fields.text("constrain")?;
    match constrain.as_deref().unwrap_or("schema") {
        "off" => Ok(None),
        "sql" => Ok(Some(Rules::query(None))),
        "schema" => {
            let tables = brought.source.named().to_vec();
            Ok(Some(Rules::query(Some(tables))))
        }
        _ => {
            let message = "constrain is none of off, sql, schema";
            Err(ApiError::field("constrain", message))
        }
    }
}

fn database(fields: &mut Fields, served: &Served) -> Result<Arc<Brought>, ApiError> {
    let id = needed(fields, "database")?;
    served.shelf.get(&id)
}

fn needed(fields: &mut Fields, name: &str) -> Result<String, ApiError> {
    let text = fields.text(name)?.unwrap_or_default();
    match text.trim() {
        "" => Err(ApiError::field(name, format!("{name} is missing"))),
        text => Ok(text.to_owned()),
    }
}

fn fault(brought: &Brought, error: anyhow::Error) -> ApiError {
    ApiError::server(brought.hidden(&format!("{error:#}")))
}
