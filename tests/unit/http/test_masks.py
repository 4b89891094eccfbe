"""Names and addresses: enough to recognise, not enough to keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.masks import mask_address, mask_name

NAMES = st.text(alphabet="张三欧阳修娜王小明ABC· 第一学校", min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("", ""),
        ("张", "*"),
        ("张三", "*三"),
        ("欧阳修", "**修"),
        ("欧阳娜娜", "***娜"),
        ("示范县第一小学", "示*****学"),
        ("ZHANG SAN", "Z*******N"),
        ("*三", "*三"),
        ("张*", "张*"),
        ("张＊", "张*"),
        ("**修", "**修"),
        ("张三丰*", "***" + "*"),
        ("  张三 ", "*三"),
    ],
)
def test_names(name: str, masked: str) -> None:
    assert mask_name(name) == masked


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("", ""),
        ("幸福路12号", "幸福路****"),
        ("示范县城关镇幸福路12号3栋2单元501室", "示范县城关镇****"),
        ("路", "****"),
        ("幸福****", "幸福****"),
    ],
)
def test_addresses(address: str, masked: str) -> None:
    assert mask_address(address) == masked


@given(NAMES)
def test_a_name_shows_at_most_two_characters_and_masking_again_changes_nothing(name: str) -> None:
    masked = mask_name(name)
    assert len(masked.replace("*", "")) <= 2
    assert mask_name(masked) == masked


@given(st.text(alphabet="幸福路1234567890号栋单元室县镇", max_size=60))
def test_an_address_shows_at_most_half_and_at_most_six(address: str) -> None:
    shown = mask_address(address).replace("*", "")
    assert len(shown) <= min(6, len(address) // 2)
    assert address.startswith(shown)
