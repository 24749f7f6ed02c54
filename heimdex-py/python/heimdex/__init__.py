"""Makes video searchable by what is said, shown and who is in it.

    import heimdex

    with heimdex.open("library") as library:
        library.index("talk.mp4")
        for hit in library.search("a red car in the rain").hits:
            print(hit.video.title, hit.moment, hit.text)

The same for asyncio is in ``heimdex.aio``.
"""

from . import aio
from ._errors import (
    CancelledError,
    HeimdexError,
    InvalidError,
    IoError,
    MediaError,
    ModelError,
    ModelMissingError,
    NotFoundError,
    NotAMediaFileError,
    NoVideoStreamError,
    QueryError,
    RefusedPlaylistError,
    SpaceError,
    StoreError,
    SubtitleError,
    TimedOutError,
    TooLargeError,
    TruncatedError,
    UnsupportedError,
)
from ._library import Library, models, open, probe, pull, shots, transcribe, write_subtitles
from ._models import ImageModel, TextModel
from ._native import VERSION as __version__
from ._own import Annotation, Annotator, ImageEmbedder, SceneView, TextEmbedder
from ._results import (
    ChannelScore,
    Hit,
    HitVideo,
    IndexedVideo,
    IndexReport,
    Keyframe,
    ListedModel,
    MediaInfo,
    Progress,
    Record,
    Scene,
    SearchPage,
    Segment,
    Shot,
    StageRecord,
    SwitchProgress,
    SwitchReport,
    Tag,
    Transcribed,
    Transcript,
    Video,
    Word,
)

__all__ = [
    "Annotation",
    "Annotator",
    "CancelledError",
    "ChannelScore",
    "HeimdexError",
    "Hit",
    "HitVideo",
    "ImageEmbedder",
    "ImageModel",
    "IndexReport",
    "IndexedVideo",
    "InvalidError",
    "IoError",
    "Keyframe",
    "Library",
    "ListedModel",
    "MediaError",
    "MediaInfo",
    "ModelError",
    "ModelMissingError",
    "NoVideoStreamError",
    "NotAMediaFileError",
    "NotFoundError",
    "Progress",
    "QueryError",
    "Record",
    "RefusedPlaylistError",
    "Scene",
    "SceneView",
    "SearchPage",
    "Segment",
    "Shot",
    "SpaceError",
    "StageRecord",
    "StoreError",
    "SubtitleError",
    "SwitchProgress",
    "SwitchReport",
    "Tag",
    "TextEmbedder",
    "TextModel",
    "TimedOutError",
    "TooLargeError",
    "Transcribed",
    "Transcript",
    "TruncatedError",
    "UnsupportedError",
    "Video",
    "Word",
    "__version__",
    "aio",
    "models",
    "open",
    "probe",
    "pull",
    "shots",
    "transcribe",
    "write_subtitles",
]
