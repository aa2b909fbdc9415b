# SPDX-License-Identifier: Apache-2.0
"""The laboratory: real servers, narwal as a process, random load, and the oracle that compares.

cluster   PostgreSQL servers of any version, thrown away afterwards
narwal    narwal as a process: configuration, log, kill, wait until it has caught up
workload  seeded random transactions over tables of many shapes
folder    reads the file sink's folder into what the oracle takes
kafka     a Kafka broker; debezium: Debezium's connector in a worker of Connect beside it
reference the same from a small pgoutput reader in Python: tests the workload and the oracle
oracle    rebuilds the tables and compares them with the source
check     what a test program needs around unittest
"""
