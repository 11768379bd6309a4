package main

import (
	"slices"

	"github.com/spf13/cobra"

	"seckill/internal/checkup"
)

func newDoctor(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check the servers and their settings; say what to do about each that fails",
		Long: `Check the servers, their settings and the processes that live, and say what to do about what is not well:
warn is to be looked at, FAIL has to be mended, and makes the exit code 5. preflight does the same for a sale.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.withExaminer(func(e *examiner) error {
				found := append(e.servers(c.Context()), e.fleet(c.Context()).Check()...)
				if err := p.showFindings(found); err != nil {
					return err
				}
				if slices.ContainsFunc(found, failed) {
					return &silentError{exitDependency}
				}
				return nil
			})
		},
	}
}

func failed(f checkup.Finding) bool { return !f.OK }
