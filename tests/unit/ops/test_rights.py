"""Departments and what their people may do (ROLE-01 … ROLE-12), as data."""

import pytest

from contracts.strict_json import Malformed
from gateway.core.actions import ACTIONS, RIGHTS
from gateway.core.rights import Rights, build_rights
from gateway.ops.roles import load_rights

DEPARTMENTS = {
    "综合办",
    "市场部",
    "运维部",
    "视安部",
    "计财部",
    "电子商务分局",
    "电子商务中心",
    "信息分局",
    "报刊零售公司",
    "综合办公室",
    "代理金融中心",
    "代理保险中心",
    "分销中心",
}


def test_every_department_of_the_requirements_is_there() -> None:
    assert set(load_rights()) == DEPARTMENTS


def test_only_the_key_office_hands_out_keys() -> None:
    rights = load_rights()
    may_bind = {name for name, one in rights.items() if "certs.bind" in one.may | one.approves}
    assert may_bind == {"电子商务分局", "电子商务中心"}
    assert rights["电子商务中心"] == Rights(RIGHTS, RIGHTS)
    assert rights["信息分局"] == Rights()
    assert rights["计财部"].approves >= {"station.close", "station.transfer", "payment.rule"}
    assert rights["计财部"].may == {"certs.freeze"}


def test_whatever_takes_two_is_in_some_departments_approvals() -> None:
    approved = set().union(*(one.approves for one in load_rights().values()))
    assert {action.right or name for name, action in ACTIONS.items() if action.two or action.approves} <= approved


@pytest.mark.parametrize(
    ("departments", "roles"),
    [
        ({"科": ["nobody"]}, {"clerk": {"may": []}}),
        ({"科": ["clerk"]}, {"clerk": {"may": ["certs.blnd"]}}),
        ({"科": ["clerk"]}, {"clerk": {"approves": ["certs.approve"]}}),
    ],
)
def test_a_slip_is_refused(departments: dict[str, list[str]], roles: dict[str, dict[str, list[str]]]) -> None:
    with pytest.raises(Malformed):
        build_rights(departments, roles, RIGHTS)
