// Reads a dashboard with Grafana's own types, which refuse unknown and missing fields, and prints how many panels it has:
//
//	check-dashboard FILE
//
// Grafana itself cannot be built from the Go module proxy: its pages are no part of its module. Exits with 1 and all
// faults when the file is wrong.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("want one argument: FILE"))
	}
	// Only what the dashboard uses: all kinds of panels take long to build.
	types := cog.NewRuntime()
	types.RegisterDataqueryVariant(prometheus.VariantConfig())
	types.RegisterPanelcfgVariant(stat.VariantConfig())
	types.RegisterPanelcfgVariant(timeseries.VariantConfig())
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	var read dashboard.Dashboard
	err = read.UnmarshalJSONStrict(raw)
	// An empty list of faults is no fault.
	var faults cog.BuildErrors
	if err != nil && (!errors.As(err, &faults) || len(faults) > 0) {
		fail(err)
	}
	if err := read.Validate(); err != nil {
		fail(err)
	}
	fmt.Printf("%d panels\n", len(read.Panels))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
