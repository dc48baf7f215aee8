# SPDX-License-Identifier: Apache-2.0

"""Hosts: their services, compute nodes, aggregates, PCI devices, cells, agent builds, task log and usage caches.

It may import ``common``.
"""
