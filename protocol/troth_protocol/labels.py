"""The registry of labels: every KDF, MAC, hash and signature use has its own, and none is a prefix of another.

All start with ``troth/1 ``; ``tests/protocol/test_labels.py`` checks both properties. SPEC.md section 3.2. [R-3.2-1]
"""

from __future__ import annotations

from typing import Final

# Hashes of long-term keys.
ACCOUNT: Final = b"troth/1 account"
OPERATOR: Final = b"troth/1 operator"

# Hybrid signatures: SIGNATURE || purpose || 0x00 || ...  [R-3.3-1]
SIGNATURE: Final = b"troth/1 sig "
SIGN_MANIFEST: Final = b"manifest"
SIGN_PREKEYS: Final = b"prekeys"
SIGN_LEDGER: Final = b"ledger"
SIGN_PURPOSES: Final = (SIGN_MANIFEST, SIGN_PREKEYS, SIGN_LEDGER)

# Links and bundles.
LINK_CHECKSUM: Final = b"troth/1 link"
BUNDLE_KEY: Final = b"troth/1 bundle"

# Handshake.
TRANSCRIPT: Final = b"troth/1 th"
PQXDH_SALT: Final = b"troth/1 pqxdh salt"
PQXDH_INFO: Final = b"troth/1 pqxdh info"
SEAL: Final = b"troth/1 seal"

# Classical ratchet.
DR_ROOT: Final = b"troth/1 dr root"
DR_MESSAGE: Final = b"troth/1 dr mk"
DR_CHAIN: Final = b"troth/1 dr ck"

# Post-quantum chains and exchange.
PQ_START: Final = b"troth/1 pq start"
PQ_EPOCH: Final = b"troth/1 pq epoch"
PQ_MESSAGE: Final = b"troth/1 pq mk"
PQ_CHAIN: Final = b"troth/1 pq ck"
PQ_AUTH: Final = b"troth/1 pq auth"
PQ_CIPHERTEXT_MAC: Final = b"troth/1 pq ct"
PQ_KEY_MAC: Final = b"troth/1 pq ek"

# Message key.
MESSAGE: Final = b"troth/1 msg"

# Relay.
OWNER_STORED: Final = b"troth/1 owner stored"
OWNER_PROOF: Final = b"troth/1 owner proof"
TOKEN: Final = b"troth/1 token"
MAILBOX_HASH: Final = b"troth/1 mailbox"
CAPABILITY_HASH: Final = b"troth/1 capability"
ROW_SEAL: Final = b"troth/1 row"
BACKUP: Final = b"troth/1 backup"
TUNNEL: Final = b"troth/1 tunnel"

# People and local storage.
SAFETY_NUMBER: Final = b"troth/1 safety"
VAULT_KEY: Final = b"troth/1 vault"

ALL: Final = (
    ACCOUNT, OPERATOR, *(SIGNATURE + purpose + b"\x00" for purpose in SIGN_PURPOSES), LINK_CHECKSUM, BUNDLE_KEY,
    TRANSCRIPT, PQXDH_SALT, PQXDH_INFO, SEAL, DR_ROOT, DR_MESSAGE, DR_CHAIN, PQ_START, PQ_EPOCH, PQ_MESSAGE, PQ_CHAIN,
    PQ_AUTH, PQ_CIPHERTEXT_MAC, PQ_KEY_MAC, MESSAGE, OWNER_STORED, OWNER_PROOF, TOKEN, MAILBOX_HASH, CAPABILITY_HASH,
    ROW_SEAL, BACKUP, TUNNEL, SAFETY_NUMBER, VAULT_KEY,
)  # fmt: skip
