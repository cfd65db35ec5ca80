"""``front.html``: the front as one page that needs nothing else, not even a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nas.report.front import (
    COLUMNS,
    budget_line,
    budget_of,
    candidate_row,
    cell,
    front_document,
    kinds_of,
    latency_label,
    rejected_line,
    rejected_rows,
    short_name,
)
from nas.search.records import Record, Rejected
from nas.search.run import Run
from nas.search.selection import front, objectives
from nas.units import percent, quantity

if TYPE_CHECKING:
    from plotly.graph_objects import Figure, Scatter

FRONT, TRAINED, REJECTED, LIMIT = "#1a6fb5", "#9aa7b4", "#c65b4b", "#c65b4b"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def environment() -> Environment:
    """Templates of reports; what is put into them is escaped."""
    return Environment(
        loader=PackageLoader("nas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def front_html(run: Run) -> str:
    """The page: the picture with everything on hover, the tables, and which numbers are measured or estimated."""
    records = run.records()
    drawn = run.rejected()
    bounds = budget_of(run).bounds()
    rows = [candidate_row(record) for record in front(records)]
    kinds = kinds_of(records)
    plot = figure(run).to_html(
        full_html=False, include_plotlyjs=True, config={"displaylogo": False, "responsive": True}
    )
    return (
        environment()
        .get_template("front.html.j2")
        .render(
            title=f"{run.config.task} on {run.config.target}",
            budget=budget_line(run),
            facts=front_document(run),
            plot=plot,
            headings=[heading for _, heading in COLUMNS],
            rows=[(row["number"], [cell(name, row[name]) for name, _ in COLUMNS], row["choices"]) for row in rows],
            kinds=[(heading, kinds[name]) for name, heading in COLUMNS if name in kinds],
            rejected_line=rejected_line(drawn),
            rejected=[
                (name, quantity(name, bounds[name]), f"{count:,}", percent(share))
                for name, count, share in rejected_rows(drawn)
            ],
            shown=len(drawn.sample),
        )
    )


def figure(run: Run) -> Figure:
    """Accuracy over latency of what was trained, and below it the latencies of draws that were rejected, by bound."""
    from plotly.subplots import make_subplots

    records = run.records()
    drawn = run.rejected()
    bounds = [name for name, _, _ in rejected_rows(drawn)]
    strip = min(0.09 * len(bounds) + 0.03, 0.4) if bounds else 0.001
    fig = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[1 - strip, strip], vertical_spacing=0.03)
    members = front(records)
    others = [record for record in records if record.best is not None and record not in members]
    fig.add_trace(_candidates(others, "trained", TRAINED, 8), row=1, col=1)
    fig.add_trace(_line(members), row=1, col=1)
    fig.add_trace(_candidates(members, "on the front", FRONT, 12), row=1, col=1)
    for name in bounds:
        sample = [draw for draw in drawn.sample if draw.violations.get(name, 0) > 0]
        fig.add_trace(_ticks(short_name(name), sample, legend=name == bounds[0]), row=2, col=1)
    limit = budget_of(run).seconds
    if limit is not None:
        fig.add_vline(x=1e3 * limit, line={"color": LIMIT, "dash": "dot", "width": 1.5})
    _style(fig, bounds, latency_label(records))
    return fig


def _candidates(records: list[Record], name: str, colour: str, size: int) -> Scatter:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[1e3 * objectives(record)[1] for record in records],
        y=[100 * objectives(record)[0] for record in records],
        mode="markers",
        name=name,
        marker={
            "color": colour,
            "size": size,
            "line": {"color": "white", "width": 1},
            # Trained, but below the least accuracy that the budget asks for.
            "symbol": ["circle" if record.feasible else "circle-open" for record in records],
        },
        customdata=[_hover(record) for record in records],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _line(members: list[Record]) -> Scatter:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[1e3 * objectives(record)[1] for record in members],
        y=[100 * objectives(record)[0] for record in members],
        mode="lines",
        line={"color": FRONT, "width": 2, "shape": "hv"},
        hoverinfo="skip",
        showlegend=False,
    )


def _ticks(bound: str, sample: list[Rejected], legend: bool) -> Scatter:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[1e3 * draw.resources["seconds"] for draw in sample],
        y=[bound] * len(sample),
        mode="markers",
        name="rejected before training, by the bound violated",
        legendgroup="rejected",
        marker={"color": REJECTED, "symbol": "line-ns-open", "size": 13, "line": {"width": 1.5}},
        customdata=[_rejected_hover(draw) for draw in sample],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=legend,
    )


def _style(fig: Figure, bounds: list[str], latency: str) -> None:
    grid: dict[str, Any] = {"gridcolor": "#e7ebef", "linecolor": "#c9d1d9", "ticks": "outside", "zeroline": False}
    fig.update_layout(
        template="none",
        height=480 + 34 * len(bounds),
        margin={"l": 84, "r": 24, "t": 40, "b": 56},
        font={"family": _FONT, "size": 13, "color": "#24292f"},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"align": "left", "bgcolor": "white", "font": {"family": _FONT, "size": 12}},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#9aa7b4", "activecolor": FRONT},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    fig.update_xaxes(type="log", dtick="D2", tickformat="~g", **grid)
    fig.update_xaxes(title_text=latency, row=2 if bounds else 1, col=1)
    fig.update_yaxes(title_text="validation accuracy in % (int8 network)", row=1, col=1, **grid)
    fig.update_yaxes(row=2, col=1, type="category", autorange="reversed", **{**grid, "ticks": ""})
    if not bounds:
        fig.update_xaxes(showticklabels=True, row=1, col=1)
        fig.update_xaxes(visible=False, row=2, col=1)
        fig.update_yaxes(visible=False, row=2, col=1)


def _hover(record: Record) -> str:
    row = candidate_row(record)
    head = f"<b>candidate {record.number}</b>" + (", promoted" if row["promoted"] else "")
    figures = [f"{heading} {cell(name, row[name])}" for name, heading in COLUMNS if row[name] is not None]
    return "<br>".join([head, *_in_lines(figures), "", *_in_lines(_choices(record.choices))])


def _rejected_hover(draw: Rejected) -> str:
    over = [f"{short_name(name)} {excess:.0%} over its bound" for name, excess in draw.violations.items() if excess > 0]
    figures = [f"{heading} {cell(name, draw.resources[name])}" for name, heading in COLUMNS if name in draw.resources]
    head = "<b>rejected, never trained</b>"
    return "<br>".join([head, *over, "", *_in_lines(figures), "", *_in_lines(_choices(draw.choices))])


def _choices(choices: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in choices.items()]


def _in_lines(items: list[str], each: int = 3) -> list[str]:
    return [" · ".join(items[i : i + each]) for i in range(0, len(items), each)]
