"""The views: what other processes may read, whatever becomes of the tables. Read-only, by plain SQL."""

from typing import Final

VIEWS: Final = {
    "v_run": """
        SELECT 'r' || num AS run_id, num, job_id, state, due AS schedule_time, time_key, finished, rev, doc,
               CASE WHEN finished THEN log END AS history,
               args_key, expected,
               json_extract(CAST(facts AS TEXT), '$.schedule') AS schedule,
               coalesce(json_extract(CAST(facts AS TEXT), '$.passed'), 0) AS passed
        FROM run
    """,
    "v_event": "SELECT id, at, topic, run_id, body FROM event",
    # `next` is the due time of the first scheduled run; it is not kept with the job, which would be written each time
    "v_job": """
        SELECT job_id, hash,
               CAST(json_set(CAST(doc AS TEXT), '$.next', (
                   SELECT json_extract(CAST(run.doc AS TEXT), '$.schedule_time')
                   FROM run INDEXED BY run_unfinished
                   WHERE run.job_id = job.job_id AND run.finished = 0 AND run.state = 'scheduled'
                   ORDER BY run.due LIMIT 1
               )) AS BLOB) AS doc
        FROM job
    """,
    # every version that a job has had, also of jobs that are gone; `v_definition` has those of ad hoc jobs as well
    "v_job_version": """
        SELECT job_taken.job_id AS job_id, job_taken.at AS at, job_taken.hash AS hash, job_version.definition
        FROM job_taken JOIN job_version ON job_version.hash = job_taken.hash
    """,
    "v_version": "SELECT hash, job_id, definition FROM job_version",
    "v_taken": "SELECT job_id, at, hash FROM job_taken",
    "v_cursor": "SELECT job_id, key, at, behind, until FROM cursor",
    "v_host": "SELECT host, doc FROM host",
    "v_definition": "SELECT hash, definition FROM job_version",
    "v_meta": """
        SELECT key, value FROM meta
        UNION ALL SELECT 'head', CAST(coalesce(max(id), 0) AS TEXT) FROM event
    """,
}
