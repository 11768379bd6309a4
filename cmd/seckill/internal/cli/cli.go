// Package cli is the command line: it reads flags and settings, calls package app,
// prints for people or programs, and turns errors into exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"seckill/admin"
	"seckill/cmd/seckill/internal/app"
	"seckill/order"

	"github.com/spf13/cobra"
)

// Exit codes, which programs rely on.
const (
	exitOK         = 0
	exitFailure    = 1
	exitUsage      = 2
	exitNotFound   = 3
	exitBroken     = 4 // an invariant does not hold
	exitDependency = 5 // a server is down
)

var exitCodes = []string{
	exitOK:         "success",
	exitFailure:    "failure; preflight: something is wrong",
	exitUsage:      "wrong arguments or settings",
	exitNotFound:   "not found",
	exitBroken:     "audit: MySQL and Redis disagree",
	exitDependency: "a server is down; doctor: something is wrong",
}

// process is the part of the operating system's process that commands use.
type process struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer

	configFile string
	json       bool
}

// Run runs the program with these arguments and variables, and returns its exit
// code.
func Run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &process{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(p) //nolint:contextcheck // the commands take ExecuteContext's from cobra
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if _, silent := errors.AsType[*silentError](err); !silent {
		fmt.Fprintln(stderr, "seckill:", err)
	}
	return exitCode(err)
}

func newRoot(p *process) *cobra.Command {
	root := &cobra.Command{
		Use:           "seckill",
		Short:         "A flash-sale order pipeline: no order is lost, nothing is sold twice",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.Long = root.Short + ".\n\nExit codes:\n"
	for code, meaning := range exitCodes {
		root.Long += fmt.Sprintf("  %d  %s\n", code, meaning)
	}
	root.PersistentFlags().StringVar(&p.configFile, "config", "", "settings file (YAML); SECKILL_* variables override it")
	root.PersistentFlags().BoolVar(&p.json, "json", false, "output for programs")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Processes", []*cobra.Command{newDev(p), newAPI(p), newConsumer(p), newMigrate(p), newHealthcheck(p)}},
		{"Sales and orders", []*cobra.Command{newSale(p), newOrder(p), newPayments(p), newEvents(p), newPay(p), newToken(p)}},
		{"Operation", []*cobra.Command{
			newPreflight(p), newDoctor(p), newInstances(p), newLimits(p), newAudit(p), newRebuild(p), newDeadLetters(p), newAuditLog(p),
		}},
		{"This program", []*cobra.Command{newConfig(p), newVersion(p)}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title + ":"})
		for _, c := range group.commands {
			c.GroupID = group.title
		}
		root.AddCommand(group.commands...)
	}
	root.SetHelpCommandGroupID("This program")
	root.SetCompletionCommandGroupID("This program")
	wrapArgs(root)
	return root
}

// group returns a command that only has subcommands.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(commands...)
	return c
}

// wrapArgs makes wrong arguments of every command a usage error.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// usageError is a mistake in the arguments or settings.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// dependencyError is a call to a server that failed.
type dependencyError struct {
	what string
	err  error
}

func (e *dependencyError) Error() string { return e.what + ": " + e.err.Error() }
func (e *dependencyError) Unwrap() error { return e.err }

// ofServer adds the server's name to an error of a call to it.
func ofServer(name string, err error) error {
	if _, bad := errors.AsType[*app.SettingError](err); bad || err == nil {
		return err
	}
	return &dependencyError{name, err}
}

// noSaleError is a sale that does not exist.
type noSaleError struct{ id int64 }

func (e *noSaleError) Error() string {
	return fmt.Sprintf("there is no sale %d; `seckill sale list` lists them", e.id)
}
func (e *noSaleError) Unwrap() error { return order.ErrNotFound }

// silentError sets the exit code without a message: the output has it already.
type silentError struct{ code int }

func (e *silentError) Error() string { return fmt.Sprintf("exit %d", e.code) }

func exitCode(err error) int {
	var usage *usageError
	var setting *app.SettingError
	var down *dependencyError
	var unavailable *admin.UnavailableError
	var silent *silentError
	switch {
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage), errors.As(err, &setting):
		return exitUsage
	case errors.Is(err, order.ErrNotFound):
		return exitNotFound
	case errors.As(err, &down), errors.As(err, &unavailable):
		return exitDependency
	default:
		return exitFailure
	}
}
