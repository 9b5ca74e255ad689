"""Lottery tickets, pools of tickets and sparse training in JAX."""
