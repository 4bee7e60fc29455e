package main

import (
	"context"
	"fmt"
)

// refusalCases returns cases with orders that the service refuses, and upserts whose first requests it refuses. The
// first case measures start and stop; the others are compared with the second one.
func (b *bench) refusalCases() []sinkCase {
	rows := max(b.rows/20, 1)
	return []sinkCase{
		{name: "one row", rows: 1, batch: 1},
		{name: "inserts, none refused", rows: rows, batch: 100},
		{name: "1 % refused with its batch of 100", rows: rows, batch: 100, refusedEvery: 100, refusesBatches: true},
		{name: "1 % refused with its batch of 500", rows: rows, batch: 500, refusedEvery: 100, refusesBatches: true},
		{name: "all refused in parts", rows: rows, batch: 100, refusedEvery: 1},
		{name: "upserts of new rows by PUT", rows: rows, batch: 100, isUpsert: true},
	}
}

// measureRefusals measures sinks whose service refuses rows.
func measureRefusals(ctx context.Context, b *bench) error {
	broker, err := b.startBroker(ctx, "broker-refusals")
	if err != nil {
		return err
	}
	defer broker.stop()
	cases := b.refusalCases()
	measurements, err := b.interleaveSinkCases(ctx, broker, "f", cases)
	if err != nil {
		return err
	}
	fmt.Printf("orders of ten fields, 8 requests at a time, errors.tolerance=all; the workers' CPU and time; medians "+
		"of %d rounds\nAims: 1,000 rows/s and 1.6 operations a row with 1 %% refused, 1,000 rows/s a core with all "+
		"refused, upserts 1.5 times the CPU of inserts.\n", b.rounds)
	sides := b.candidates()
	for n, side := range sides {
		if len(sides) > 1 {
			fmt.Println(side.culvert)
		}
		fmt.Println("orders                                  rows    s CPU    s elapsed   rows/s   rows/s a core   " +
			"operations a row   CPU of inserts")
		atRest := median(measurements[0].cpu[n])
		inserts := median(measurements[1].cpu[n]) - atRest
		for i, c := range cases {
			cpu := median(measurements[i].cpu[n])
			wall := median(measurements[i].wall[n])
			rows := float64(c.rows)
			fmt.Printf("%-36s  %6d  %7.2f  %11.2f  %7.0f", c.name, c.rows, cpu, wall, rows/wall)
			if i > 0 {
				fmt.Printf("  %14.0f  %17.2f  %14.2fx", rows/(cpu-atRest), median(measurements[i].operations[n])/rows,
					(cpu-atRest)/inserts)
			}
			fmt.Println()
		}
	}
	return nil
}
