"""Field types of provider frames, strict where JSON allows more than a trade may hold.

Booleans and numeric strings are no numbers, NaN and Infinity are refused, integers fit 64 bits, and identifiers are
printable ASCII without blanks, which every store takes as it is. Of a duplicate key the last one counts, as in most
JSON readers; keys no model names are ignored, since providers add fields without notice.
"""

from typing import Annotated

from pydantic import Field

# 2^53 - 1 milliseconds still fit 64 bits as microseconds.
_MAX_TIME_MS = 2**53 - 1

PositiveNumber = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
NonNegativeNumber = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
# A decimal in quotes; float() takes whatever matches, and Tick refuses what is not finite.
NumericText = Annotated[
    str, Field(strict=True, pattern=r"^-?([0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?|NaN|Infinity)$")
]
TimeMs = Annotated[int, Field(strict=True, ge=0, le=_MAX_TIME_MS)]
Sequence64 = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
SymbolText = Annotated[str, Field(strict=True, pattern=r"^[\x21-\x7e]{1,32}$")]
IdentifierText = Annotated[str, Field(strict=True, pattern=r"^[\x21-\x7e]{1,64}$")]
SmallInt = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
StrictBool = Annotated[bool, Field(strict=True)]
