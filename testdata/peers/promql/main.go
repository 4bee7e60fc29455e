// Promql evaluates queries of a scrape with Prometheus' own engine. Standard input is JSON:
// {"scrape": TEXT, "queries": [TEXT]}. Standard output is a line for each query: the number of series, or the error.
// The scrape is stored every 15 s for ten minutes, so that rates can be computed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	var in struct {
		Scrape  string
		Queries []string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "promql-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return err
	}
	defer db.Close()
	end := time.Now()
	for at := end.Add(-10 * time.Minute); !at.After(end); at = at.Add(15 * time.Second) {
		if err := load(db, []byte(in.Scrape), at); err != nil {
			return err
		}
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e7, Timeout: time.Minute})
	for _, query := range in.Queries {
		fmt.Println(evaluate(engine, db, query, end))
	}
	return nil
}

// load stores the series of a scrape at a time.
func load(db *tsdb.DB, scrape []byte, at time.Time) error {
	a := db.Appender(context.Background())
	p := textparse.NewPromParser(scrape, labels.NewSymbolTable())
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return a.Commit()
		}
		if err != nil {
			return err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := p.Series()
		var series labels.Labels
		p.Labels(&series)
		if _, err := a.Append(0, series, at.UnixMilli(), value); err != nil {
			return err
		}
	}
}

// evaluate returns the number of series that a query finds, or its error.
func evaluate(engine *promql.Engine, db *tsdb.DB, text string, at time.Time) string {
	query, err := engine.NewInstantQuery(context.Background(), db, nil, text, at)
	if err != nil {
		return err.Error()
	}
	defer query.Close()
	result := query.Exec(context.Background())
	if result.Err != nil {
		return result.Err.Error()
	}
	vector, err := result.Vector()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(len(vector))
}
