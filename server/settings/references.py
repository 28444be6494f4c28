"""Reference audio: what an upload may be, and the folder or bucket that keeps it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ByteSize, Field, SecretStr

from cosyserve.engine.folders import data_folder

from .values import MIB, Count, OrNone, Seconds, Size


class ReferenceSettings(BaseModel):
    """Reference audio"""

    references: str = Field(
        default_factory=lambda: str(data_folder() / "references"),
        min_length=1,
        description="storage for reference audio",
        json_schema_extra={
            "allowed": "a folder, s3://BUCKET or s3://BUCKET/PREFIX",
            "default_text": "cosyserve/references in the user's data folder",
        },
    )
    references_shared: bool = Field(
        False, description="let every token see and use the references of all tokens"
    )
    max_upload_bytes: Size = Field(ByteSize(20 * MIB), description="largest upload")
    max_references_per_token: Count = Field(1000, description="stored references per token")
    max_dictionaries_per_token: Count = Field(
        50, description="stored pronunciation dictionaries per token, and as many archived ones"
    )
    max_dictionary_rules: Count = Field(500, description="rules in one pronunciation dictionary")
    max_uploads: Count = Field(
        16,
        description="concurrent uploads; each stays in memory until it is stored. Of several tokens, each "
        "may have as many under way as places are left",
    )
    upload_threads: int = Field(
        2,
        ge=1,
        le=256,
        description="uploads that are decoded, checked and prepared at once, one of each token; others wait",
    )
    upload_memory: Size = Field(
        ByteSize(256 * MIB),
        description="memory for the decoded sound of these; if it holds fewer than upload_threads of the "
        "longest allowed, fewer are worked on at once",
    )
    upload_timeout: Seconds = Field(
        120.0, description="time in which an upload must have arrived, in seconds"
    )
    min_reference_seconds: float = Field(
        1.0, ge=0.1, le=600, description="shortest reference audio"
    )
    max_reference_seconds: float = Field(
        30.0, ge=0.1, le=600, description="longest reference audio"
    )
    s3_endpoint: Annotated[str | None, OrNone] = Field(
        None,
        pattern=r"^https?://[^\s/]+(/\S*)?$",
        description="address of an S3-compatible service; none: AWS",
        json_schema_extra={"allowed": "an http:// or https:// address"},
    )
    s3_region: Annotated[str | None, OrNone] = Field(
        None, description="region of the bucket", json_schema_extra={"allowed": "a region's name"}
    )
    s3_signature: Literal["v4", "v2"] = Field(
        "v4", description="signature version; v2 only for services without v4"
    )
    s3_path_style: bool = Field(
        False, description="name the bucket in the path instead of the host (MinIO and others)"
    )
    s3_access_key_id: Annotated[str | None, OrNone] = Field(
        None,
        description="access key id; none: the standard AWS chain (environment, profile, role)",
        json_schema_extra={"allowed": "a key"},
    )
    s3_secret_access_key: Annotated[SecretStr | None, OrNone] = Field(
        None,
        description="secret that belongs to the access key id",
        json_schema_extra={"allowed": "a secret"},
    )
    s3_call_timeout: Seconds = Field(
        60.0, description="time for one request to the service including retries, in seconds"
    )
