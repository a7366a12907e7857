"""A page of another site, in a real browser, reaches none of the services on this machine."""

from __future__ import annotations

import pytest
import requests

from tests.support.interface import foreign_site
from tests.support.local_bigquery import LocalBigQuery
from tests.support.local_google import storage_client, storage_process

pytestmark = pytest.mark.big

# What a page may send without asking the service first, and the link of an image.
ATTACK = """
async ([urls, body]) => {
  const answers = []
  for (const url of urls) {
    for (const how of [{mode: 'no-cors'}, {mode: 'cors'}, {mode: 'no-cors', method: 'GET'}]) {
      const given = {method: 'POST', headers: {'Content-Type': 'text/plain'}, ...how}
      if (given.method == 'POST') given.body = body
      try { answers.push((await fetch(url, given)).type) } catch { answers.push('refused') }
    }
    navigator.sendBeacon(url, body)
    const frame = document.createElement('iframe')
    frame.name = 'frame' + answers.length
    document.body.append(frame)
    const form = document.createElement('form')
    Object.assign(form, {action: url, method: 'POST', enctype: 'text/plain', target: frame.name})
    const field = document.createElement('textarea')
    Object.assign(field, {name: body, value: ''})
    form.append(field)
    document.body.append(form)
    const loaded = new Promise((resolve) => { frame.onload = resolve })
    form.submit()
    await loaded
    await new Promise((resolve) => {
      const image = new Image()
      image.onload = image.onerror = resolve
      image.src = url
    })
  }
  return answers
}
"""


@pytest.fixture(scope="module")
def site():
    """The port of a web site."""
    with foreign_site() as port:
        yield port


@pytest.fixture(scope="module")
def page(browser):
    with browser.new_page() as page:
        yield page


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    with storage_process(tmp_path_factory.mktemp("gcs")) as (url, _):
        yield url


@pytest.fixture(scope="module")
def bucket(storage):
    bucket = storage_client(storage).create_bucket("trusted")
    bucket.blob("etl.sql").upload_from_string("SELECT 'mine'")
    return bucket


def test_a_page_changes_no_object_and_no_table(page, site, storage, bucket, tmp_path):
    with LocalBigQuery(tmp_path) as warehouse:
        datasets = f"{warehouse.url}/bigquery/v2/projects/p/datasets"
        urls = [
            f"{storage}/upload/storage/v1/b/trusted/o?uploadType=media&name=etl.sql",
            f"{storage}/storage/v1/b",
            datasets,
        ]
        body = '{"name": "evil", "datasetReference": {"datasetId": "evil", "projectId": "p"}}'
        # Another site, and another service of this machine.
        for name in ("evil.example", "127.0.0.1", "localhost"):
            page.goto(f"http://{name}:{site}/")
            answers = page.evaluate(ATTACK, [urls, body])
            assert set(answers) <= {"opaque", "refused"}
            assert bucket.blob("etl.sql").download_as_text() == "SELECT 'mine'"
            assert [each.name for each in storage_client(storage).list_buckets()] == ["trusted"]
            assert "evil" not in requests.get(datasets, timeout=10).text


def test_a_page_whose_name_means_this_machine_reads_nothing(page, storage, bucket):
    path = "/storage/v1/b/trusted/o/etl.sql?alt=media"
    rebound = storage.replace("127.0.0.1", "rebound.example")
    assert page.goto(rebound + path).status == 403
    assert "mine" not in page.content()
    assert page.goto(storage + path).status == 200  # the user typed it
