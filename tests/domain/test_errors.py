from kalends.domain.errors import InvalidInput, KalendsError, NotFound, Refused


def test_a_problem_further_down_keeps_its_kind_and_what_it_knows() -> None:
    problem = InvalidInput(path=("email",), message="No.", expected="an address")
    assert problem.under("attendees", "3") == InvalidInput(
        path=("attendees", "3", "email"), message="No.", expected="an address"
    )
    assert problem.path == ("email",)


def test_a_refusal_moves_every_problem_down_and_says_them_all() -> None:
    refused = Refused(NotFound(message="Gone."), NotFound(path=("id",), message="Lost.")).under("inputs", "0")
    assert [problem.path for problem in refused.problems] == [("inputs", "0"), ("inputs", "0", "id")]
    assert str(refused) == "inputs.0: Gone.; inputs.0.id: Lost."
    assert str(Refused(NotFound(message="Gone."))) == "request: Gone."
    assert isinstance(refused, KalendsError)
