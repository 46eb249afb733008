//! Topics: looked up, or created where that is allowed.

use broker::{Error, ErrorKind};
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_wkt::Duration as WktDuration;

use crate::clients::ASK;
use crate::project::Project;
use crate::{errors, permissions};

/// Makes sure of a topic. Where this identity may not look, it is taken to exist: publishing will tell.
pub(crate) async fn ensure(project: &Project, name: &str) -> Result<(), Error> {
    let full = project.topic(name);
    let what = format!("topic {full} cannot be made sure of");
    if project.settings.create {
        match create(project, &full).await {
            Ok(()) => return Ok(()),
            Err(error) if errors::code(&error) == Some(Code::AlreadyExists) => return Ok(()),
            // Whoever may not create may find it made by others.
            Err(error) if errors::code(&error) == Some(Code::PermissionDenied) => {
                return look(project, &full, Some(&error)).await;
            }
            Err(error) if errors::code(&error) == Some(Code::NotFound) => {
                let what = format!("topic {full} cannot be created: {}", errors::NO_PROJECT);
                return Err(errors::error(&what, permissions::CREATE_TOPIC, &error));
            }
            Err(error) => return Err(errors::error(&what, permissions::CREATE_TOPIC, &error)),
        }
    }
    look(project, &full, None).await
}

async fn create(project: &Project, full: &str) -> Result<(), google_cloud_pubsub::Error> {
    let settings = &project.settings;
    let mut request =
        project.clients.topics.create_topic().set_name(full).set_labels(settings.labels.clone());
    if let Some(retention) = settings.topic_retention {
        request = request.set_message_retention_duration(wkt(retention));
    }
    let answer = request.with_attempt_timeout(ASK).send().await;
    heard(project, &answer);
    answer.map(drop)
}

/// `denied`: why it could not be created.
async fn look(
    project: &Project,
    full: &str,
    denied: Option<&google_cloud_pubsub::Error>,
) -> Result<(), Error> {
    let answer = project.clients.topics.get_topic().set_topic(full).with_attempt_timeout(ASK).send().await;
    heard(project, &answer);
    let Err(error) = answer else { return Ok(()) };
    let what = format!("topic {full} cannot be looked up");
    match (errors::code(&error), denied) {
        (Some(Code::NotFound), Some(denied)) => Err(errors::error(
            &format!("topic {full} does not exist and cannot be created"),
            permissions::CREATE_TOPIC,
            denied,
        )),
        (Some(Code::NotFound), None) => {
            let hint = "create it, or let Postrider create what is missing (`create: true`)";
            Err(Error::new(ErrorKind::NotFound, format!("topic {full} does not exist: {hint}")))
        }
        (Some(Code::PermissionDenied), _) => {
            tracing::warn!(
                topic = full,
                "whether the topic exists cannot be seen without {}",
                permissions::SEE_TOPIC
            );
            Ok(())
        }
        _ => Err(errors::error(&what, permissions::SEE_TOPIC, &error)),
    }
}

/// Any answer shows that the service is there.
pub(crate) fn heard<T>(project: &Project, answer: &Result<T, google_cloud_pubsub::Error>) {
    if answer.as_ref().err().is_none_or(errors::is_answer) {
        project.pulse.beat();
    }
}

pub(crate) fn wkt(duration: std::time::Duration) -> WktDuration {
    WktDuration::clamp(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), 0)
}
