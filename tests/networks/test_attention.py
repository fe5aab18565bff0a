import torch

from delineate.networks import AttentionUNet, UNet, parameters

LAYOUT = ((4, 6, 8), ((1, 1), (2, 2), (2, 1)), ((3, 3),) * 3, (2, 2, 2), (2, 2))


def test_gate_maps_lie_between_0_and_1_at_the_size_of_the_image():
    network = AttentionUNet(1, 3, *LAYOUT).eval()
    maps = network.gates(torch.randn(2, 1, 16, 24))
    assert [tuple(gate.shape) for gate in maps] == [(2, 1, 16, 24)] * 2
    assert all(0 <= float(gate.min()) < float(gate.max()) <= 1 for gate in maps)


def test_gates_are_all_that_it_has_beyond_a_u_net():
    network, plain = AttentionUNet(1, 3, *LAYOUT), UNet(1, 3, *LAYOUT)
    assert parameters(network) == parameters(plain) + parameters(network.attention)
    theta, phi, psi = 4 * 2 * 4, 6 * 2 + 2, 2 + 1
    assert parameters(network.attention[0]) == theta + phi + psi


def test_a_closed_gate_lets_nothing_of_the_skip_through():
    network = AttentionUNet(1, 2, *LAYOUT).eval()
    for gate in network.attention:
        torch.nn.init.zeros_(gate.psi.weight)
        torch.nn.init.constant_(gate.psi.bias, -1e4)
    assert all(not gate.any() for gate in network.gates(torch.randn(1, 1, 16, 16)))
