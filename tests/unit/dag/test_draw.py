from __future__ import annotations

from pathlib import Path

from pydag_dist.dag import Dag, draw

CALL = {"callable": "steps:run"}


def test_text_shows_levels_and_edges():
    dag = Dag.load(Path(__file__).parent / "good" / "pydag_example.json")

    assert draw.text(dag).splitlines() == [
        "TEST_DAG: 8 tasks, 8 edges, 4 levels",
        "level 1",
        "  startup_dataproc_1   script.iac",
        "  create_table_final   script.bq",
        "  create_table_stg_1   script.bq",
        "  create_table_stg_2   script.bq",
        "level 2",
        f"  initial_ingestion_1  script.spark  <- {', '.join(dag.levels()[0])}",
        "level 3",
        "  extract_from_stg_1   script.bq     <- initial_ingestion_1",
        "  extract_from_stg_2   script.bq     <- initial_ingestion_1",
        "level 4",
        "  insert_to_fact       script.bq     <- extract_from_stg_1, extract_from_stg_2",
    ]


def test_text_shows_branches_and_rules():
    with Dag("fork") as dag:
        choose = dag.task("choose", "branch", CALL, trigger_rule="all_done")
        x, y = (dag.task(name, "python.call", CALL) for name in "xy")
        end = dag.task("end", "python.call", CALL, trigger_rule="one_success")
        choose >> [x, y] >> end
        choose >> end

    assert draw.text(dag).splitlines() == [
        "fork: 4 tasks, 5 edges, 3 levels",
        "level 1",
        "  choose  branch",
        "level 2",
        "  x       python.call  <- choose (branch)",
        "  y       python.call  <- choose (branch)",
        "level 3",
        "  end     python.call  <- x, y, choose (branch)  [one_success]",
    ]
    assert draw.mermaid(dag).splitlines()[1:5] == [
        '    t0{"choose"}',
        '    t1["x"]',
        '    t2["y"]',
        '    t3["end<br>one_success"]',
    ]


def test_an_expanded_task_is_shown_with_its_list():
    with Dag("many") as dag:
        found = dag.task("find", "python.call", CALL)
        each = dag.task(
            "each",
            "python.call",
            CALL,
            expand={"over": "tasks.find.result.files"},
            trigger_rule="all_done",
        )
        found >> each

    assert (
        draw.text(dag).splitlines()[-1] == "  each  python.call  <- find  [each of find, all_done]"
    )
    assert draw.mermaid(dag).splitlines()[2] == '    t1[["each<br>all_done"]]'


def test_text_of_a_wide_join_is_cut():
    with Dag("wide") as dag:
        many = [dag.task(f"t{number}", "python.call", CALL) for number in range(2000)]
        many >> dag.task("join", "python.call", CALL)

    assert draw.text(dag).splitlines()[-1] == (
        "  join   python.call  <- t0, t1, t2, t3, t4, t5, t6, t7, and 1,992 more"
    )


def test_text_of_one_task():
    with Dag("one") as dag:
        dag.task("a", "python.call", CALL)

    assert draw.text(dag) == "one: 1 task, 0 edges, 1 level\nlevel 1\n  a  python.call"


def test_mermaid_names_tasks_and_edges():
    with Dag("two") as dag:
        dag.task("end", "python.call", CALL) >> dag.task("x.y", "python.call", CALL)

    assert draw.mermaid(dag).splitlines() == [
        "flowchart LR",
        '    t0["end"]',
        '    t1["x.y"]',
        "    t0 --> t1",
    ]
