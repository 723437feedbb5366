import pytest
import torch

from oneblock.nn.places import NoPlaces, Places


def places(grid=(3, 2), width=5, dtype=torch.float64):
    torch.manual_seed(0)
    made = Places(grid, width).to(dtype)
    with torch.no_grad():
        made.weight.copy_(torch.randn(1 + grid[0] * grid[1], width))
    return made


def test_each_place_gets_its_own_row():
    made, x = places(), torch.randn(2, 7, 5, dtype=torch.float64)
    assert torch.equal(made(x, (3, 2)), x + made.weight)
    assert torch.equal(NoPlaces()(x, (3, 2)), x)


def test_a_constant_table_stays_constant_for_any_size():
    made = places()
    with torch.no_grad():
        made.weight[1:] = torch.arange(5.0)
    x = torch.zeros(1, 1 + 4 * 7, 5, dtype=torch.float64)
    told = made(x, (4, 7))
    torch.testing.assert_close(told[0, 1:], torch.arange(5.0).double().expand(28, 5))
    assert torch.equal(told[0, 0], made.weight[0])


def test_rows_and_columns_are_not_mixed_up():
    made = places((4, 3), 2)
    with torch.no_grad():
        rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(3.0), indexing="ij")
        made.weight[1:] = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    told = made(torch.zeros(1, 1 + 8 * 3, 2, dtype=torch.float64), (8, 3))[0, 1:].unflatten(0, (8, 3))
    assert (told[1:, :, 0] > told[:-1, :, 0]).all()  # the row's number grows down the rows
    torch.testing.assert_close(told[..., 1], torch.arange(3.0).double().expand(8, 3))


def weight(distance, a=-0.75):
    """Keys 1981, eq. 15."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def test_bicubic_as_written_down():
    made, grid = places((3, 2), 1), (5, 4)
    table = made.weight[1:].unflatten(0, (3, 2))[..., 0]

    def at(axis, other, new, old):
        place = (other + 0.5) * old / new - 0.5
        first = int(place // 1) - 1
        return [(min(max(first + k, 0), old - 1), weight(place - first - k)) for k in range(4)]

    wanted = torch.tensor(
        [
            [
                sum(p * q * table[r, c] for r, p in at(0, row, 5, 3) for c, q in at(1, column, 4, 2))
                for column in range(4)
            ]
            for row in range(5)
        ],
        dtype=torch.float64,
    )
    told = made(torch.zeros(1, 21, 1, dtype=torch.float64), grid)[0, 1:, 0].unflatten(0, grid)
    torch.testing.assert_close(told, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_narrow_numbers_are_interpolated_in_float32(dtype):
    made = places(dtype=dtype)
    told = made(torch.zeros(1, 21, 5, dtype=dtype), (5, 4))
    wide = places().double()
    wide.load_state_dict({"weight": made.weight.double()})
    exact = wide(torch.zeros(1, 21, 5, dtype=torch.float64), (5, 4))
    assert told.dtype == dtype
    torch.testing.assert_close(told.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-5)
