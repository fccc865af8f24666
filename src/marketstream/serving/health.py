"""`/health/live` and `/health/ready`, the same on every HTTP process."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from marketstream.serving.market_data import MarketData

_NOT_ASKED = object()


class DependencyHealth(BaseModel):
    """How one store answers."""

    ok: bool
    milliseconds: float
    error: str | None = None


class Readiness(BaseModel):
    """Whether requests can be answered."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": "ready",
                "dependencies": {
                    "cache": {"ok": True, "milliseconds": 0.2, "error": None},
                    "database": {"ok": True, "milliseconds": 0.6, "error": None},
                },
            }
        }
    )

    status: Literal["ready", "degraded", "unavailable"] = Field(
        description="ready: every store answers; degraded: one does; unavailable: none does (503)"
    )
    dependencies: dict[str, DependencyHealth]


class Liveness(BaseModel):
    """The process runs."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "live"}})

    status: Literal["live"] = "live"


def health_router(market_data: MarketData) -> APIRouter:
    """The two endpoints. Ready means able to answer: with one store away the process still serves, as `degraded`."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live", summary="Is the process running?")
    def live(response: Response) -> Liveness:
        response.headers["Cache-Control"] = "no-store"
        return Liveness()

    @router.get(
        "/ready",
        summary="Can requests be answered?",
        responses={503: {"model": Readiness, "description": "No store answers"}},
    )
    def ready(request: Request, response: Response) -> Readiness:
        response.headers["Cache-Control"] = "no-store"
        # What a store said may name hosts, which is nobody's business who is not known.
        stranger = request.scope.get("state", {}).get("principal", _NOT_ASKED) is None
        readiness = _readiness(market_data, stranger=stranger)
        if readiness.status == "unavailable":
            response.status_code = 503
        return readiness

    return router


def _readiness(market_data: MarketData, *, stranger: bool) -> Readiness:
    dependencies = {
        health.name: DependencyHealth(
            ok=health.error is None,
            milliseconds=health.milliseconds,
            error="away" if health.error and stranger else health.error,
        )
        for health in market_data.health()
    }
    answering = [dependency.ok for dependency in dependencies.values()]
    status: Literal["ready", "degraded", "unavailable"] = (
        "ready" if all(answering) else "degraded" if any(answering) else "unavailable"
    )
    return Readiness(status=status, dependencies=dependencies)
