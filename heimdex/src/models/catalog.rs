//! The known models, in full.
//!
//! A revision never changes, so who pulls the same model gets the same vectors. Every hash is that
//! of the publisher's file, as several public manifests record it; a hash that could not be
//! established is left out, and the file is then held against the hash that the hub states.

use super::known::{KnownFile, KnownModel, ModelKind};

const fn file(path: &'static str, bytes: u64, sha256: &'static str) -> KnownFile {
    KnownFile { path, bytes: Some(bytes), sha256: Some(sha256) }
}

const fn hashed(path: &'static str, sha256: &'static str) -> KnownFile {
    KnownFile { path, bytes: None, sha256: Some(sha256) }
}

const fn stated(path: &'static str) -> KnownFile {
    KnownFile { path, bytes: None, sha256: None }
}

const fn whisper(
    name: &'static str,
    files: &'static [KnownFile],
    disk_bytes: u64,
    memory_bytes: u64,
) -> KnownModel {
    KnownModel {
        name,
        repo: "ggerganov/whisper.cpp",
        revision: Some("5359861c739e955e79d9a303bcbc70fb988958b1"),
        kind: ModelKind::Speech,
        dim: None,
        files,
        disk_bytes,
        memory_bytes,
    }
}

pub(super) const KNOWN: &[KnownModel] = &[
    whisper(
        "whisper-base",
        &[file(
            "ggml-base.bin",
            147_951_465,
            "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe",
        )],
        147_951_465,
        390_000_000,
    ),
    whisper(
        "whisper-small",
        &[file(
            "ggml-small.bin",
            487_601_967,
            "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b",
        )],
        487_601_967,
        850_000_000,
    ),
    whisper(
        "whisper-medium",
        &[file(
            "ggml-medium.bin",
            1_533_763_059,
            "6c14d5adee5f86394037b4e4e8b59f1673b6cee10e3cf0b11bbdbee79c156208",
        )],
        1_533_763_059,
        2_100_000_000,
    ),
    whisper(
        "whisper-large-v3-turbo",
        &[file(
            "ggml-large-v3-turbo.bin",
            1_624_555_275,
            "1fc70f774d38eb169993ac391eea357ef47c88757ef72ee5943879b7e8e2bc69",
        )],
        1_624_555_275,
        2_300_000_000,
    ),
    KnownModel {
        name: "all-MiniLM-L6-v2",
        repo: "sentence-transformers/all-MiniLM-L6-v2",
        revision: Some("c9745ed1d9f207416be6d2e6f8de32d1f16199bf"),
        kind: ModelKind::Text,
        dim: Some(384),
        files: &[
            file("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
            file(
                "tokenizer.json",
                466_247,
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            file(
                "tokenizer_config.json",
                350,
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            ),
            file("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
            file(
                "sentence_bert_config.json",
                53,
                "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            ),
            file(
                "config_sentence_transformers.json",
                116,
                "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
            ),
            file(
                "1_Pooling/config.json",
                190,
                "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
            ),
            file(
                "model.safetensors",
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
        ],
        disk_bytes: 91_400_000,
        memory_bytes: 200_000_000,
    },
    KnownModel {
        name: "multilingual-e5-small",
        repo: "intfloat/multilingual-e5-small",
        revision: Some("614241f622f53c4eeff9890bdc4f31cfecc418b3"),
        kind: ModelKind::Text,
        dim: Some(384),
        files: &[
            file("config.json", 655, "69137736cab8b8903a07fe8afaafdda25aac55415a12a55d1bffa9f581abf959"),
            file(
                "tokenizer.json",
                17_082_730,
                "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
            ),
            file(
                "tokenizer_config.json",
                443,
                "a1d6bc8734a6f635dc158508bef000f8e2e5a759c7d92f984b2c86e5ff53425b",
            ),
            file("modules.json", 387, "c6e29747481e8b5dd2b58401966aeac910de39092f90cda9a704b1545f902b04"),
            file(
                "sentence_bert_config.json",
                57,
                "948201d8329907aae938fa62f9ceeed53f5694dacc2b87b9f3b78b37ee986529",
            ),
            file(
                "1_Pooling/config.json",
                200,
                "987f7a67a38fa564c849bb5d277c52ab9088a84368fc0be31a354125aebb12a0",
            ),
            file(
                "model.safetensors",
                470_641_600,
                "1a55775f53449dac10a2bcbc312469fac40b96d53198c407081a831f81c98477",
            ),
        ],
        disk_bytes: 487_726_072,
        memory_bytes: 620_000_000,
    },
    // The main branch has the weights as a pickle only; this commit of the publisher's repository
    // adds them as safetensors and changes nothing else.
    KnownModel {
        name: "bge-m3",
        repo: "BAAI/bge-m3",
        revision: Some("142964af7e05de16511657561de8e8750fc153a0"),
        kind: ModelKind::Text,
        dim: Some(1024),
        files: &[
            file("config.json", 687, "26159e7ad065073448460117eb24b7a4572f6f4e78eadff65dc0a11c052449fa"),
            file(
                "tokenizer.json",
                17_098_108,
                "21106b6d7dab2952c1d496fb21d5dc9db75c28ed361a05f5020bbba27810dd08",
            ),
            file(
                "tokenizer_config.json",
                444,
                "a62b2b6784f990259fddef5f16388693a8043be4f69179e6a5257eeb3f9abac4",
            ),
            file("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
            file(
                "sentence_bert_config.json",
                54,
                "eb9b44b13c0f52a3b3685c3b1cbdea1ba8b04bea123b98f61610048940776eb1",
            ),
            file(
                "config_sentence_transformers.json",
                123,
                "1eef72430e7194a1e59680e635aed81ffa083f05668dbc5bb1c56c04c0999c38",
            ),
            file(
                "1_Pooling/config.json",
                191,
                "e54c164a07274f2eb45bb724f54a79d1efcc90c41573887cd9a29aeee0597352",
            ),
            file(
                "model.safetensors",
                2_271_064_456,
                "993b2248881724788dcab8c644a91dfd63584b6e5604ff2037cb5541e1e38e7e",
            ),
        ],
        disk_bytes: 2_288_164_412,
        memory_bytes: 2_900_000_000,
    },
    KnownModel {
        name: "siglip2-base-patch16-256",
        repo: "google/siglip2-base-patch16-256",
        revision: Some("3f9f96cb90da5dbc758b01813f2f6f1aee24c1ab"),
        kind: ModelKind::Image,
        dim: Some(768),
        files: &[
            hashed("config.json", "7b5aedcb8893e31376e129c1ffd7a5392f1a806dbc793ce53eda220c2ec59edf"),
            hashed(
                "preprocessor_config.json",
                "d14ba2ee3fd816f3de8abaddc31953565128eaf37c73ad4bed32101a98465aff",
            ),
            file(
                "tokenizer.json",
                34_363_039,
                "cb9140fae3ac5122c972d37adf83e1248471a38147ad76f8215c8872c6fd8322",
            ),
            hashed(
                "tokenizer_config.json",
                "14afe629fe4959b9e0d51e1852b8d9f7ad074f90a1a7125a4fcdd17f06e78fc8",
            ),
            file(
                "model.safetensors",
                1_500_985_224,
                "6125cacc01fa93bdc98a0c5101cefcd69b2ed1f8ab4f38d86f4ad5984f5dc863",
            ),
        ],
        disk_bytes: 1_535_400_000,
        memory_bytes: 1_900_000_000,
    },
    KnownModel {
        name: "siglip2-so400m-patch14-384",
        repo: "google/siglip2-so400m-patch14-384",
        revision: Some("e8e487298228002f3d8a82e0cd5c8ea9c567f57f"),
        kind: ModelKind::Image,
        dim: Some(1152),
        files: &[
            hashed("config.json", "73477b47ae9a395f008f993ebd8fb5c16ce0b5e8419ffdf2f5b2183b260f9cff"),
            hashed(
                "preprocessor_config.json",
                "fb2817d3523ca3b666c859f15320c7138416bc38ffc515e2963f78c868c51c90",
            ),
            stated("tokenizer.json"),
            stated("tokenizer_config.json"),
            file(
                "model.safetensors",
                4_544_143_072,
                "9f4f4a49f908ef0c979bce8ff5a5c0e88882dc6c5dc4304387cbbd152558e2c2",
            ),
        ],
        disk_bytes: 4_578_600_000,
        memory_bytes: 5_200_000_000,
    },
    KnownModel {
        name: "siglip-so400m-patch14-384",
        repo: "google/siglip-so400m-patch14-384",
        revision: Some("9fdffc58afc957d1a03a25b10dba0329ab15c2a3"),
        kind: ModelKind::Image,
        dim: Some(1152),
        files: &[
            file("config.json", 576, "adc04928d8fd19a61822584fe0cf2e813e5ebac17f3e49fb1ea096860ae6457b"),
            file(
                "preprocessor_config.json",
                368,
                "f59da2f87c3cd079bd4f8f3037e81b277c60c498e279a8020331f67a5a3157e8",
            ),
            file(
                "tokenizer.json",
                2_399_357,
                "c6e405cb7c670d56636a9402c81023a55bc6c3c53d89cf02b92f5c5005bfe920",
            ),
            file(
                "tokenizer_config.json",
                711,
                "d6423dae508cc3a129d22ea443841c111832a1a73125b8f25ea8736951698bcb",
            ),
            file(
                "model.safetensors",
                3_511_950_624,
                "ea2abad2b7f8a9c1aa5e49a244d5d57ffa71c56f720c94bc5d240ef4d6e1d94a",
            ),
        ],
        disk_bytes: 3_514_351_636,
        memory_bytes: 4_200_000_000,
    },
];
