# SPDX-License-Identifier: Apache-2.0
"""The verbs of long-running operations, a file each."""

from __future__ import annotations

from pinakes.core.operations.job import Job
from pinakes.worker.jobs import erase_tenant, export, export_tenant, import_, move, purge, reindex

JOBS: dict[str, Job] = {
    job.verb: job
    for job in (
        erase_tenant.JOB, export.JOB, export_tenant.JOB, import_.JOB, move.JOB, purge.JOB, reindex.JOB,
    )
}  # fmt: skip
