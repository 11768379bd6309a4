// Package cli is the command line: it reads flags and settings, calls package app,
// prints for people or programs, and turns errors into exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"seckill/admin"
	"seckill/cmd/seckill/internal/app"
	"seckill/internal/suggest"
	"seckill/order"
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
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w%s", err, flagRemark(c, err))}
	})
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
	p.complete(root)
	return root
}

// complete lets the shell complete the names of sales, in every command.
func (p *process) complete(c *cobra.Command) {
	if words := strings.Fields(c.Use); len(words) > 1 && strings.Trim(words[1], "[]") == "SALE" {
		c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return p.completeSales(c, typed), cobra.ShellCompDirectiveNoFileComp
		}
	}
	if f := c.Flags().Lookup("sale"); f != nil {
		_ = c.RegisterFlagCompletionFunc(f.Name, func(c *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return p.completeSales(c, typed), cobra.ShellCompDirectiveNoFileComp
		}) // fails for a flag that does not exist, or has one
	}
	for _, sub := range c.Commands() {
		p.complete(sub)
	}
}

// flagRemark says which flag an unknown one was meant to be.
func flagRemark(c *cobra.Command, err error) string {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return ""
	}
	var known []string
	c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	return suggest.Remark("--"+unknown.GetSpecifiedName(), known)
}

// commandRemark says which command an unknown word was meant to be: one of c, or one of
// that name further down.
func commandRemark(c *cobra.Command, word string) string {
	var known, deeper []string
	for _, sub := range c.Commands() {
		known = append(known, sub.Name())
		for _, leaf := range sub.Commands() {
			if leaf.Name() == word {
				deeper = append(deeper, sub.Name()+" "+word)
			}
		}
	}
	if remark := suggest.Remark(word, known); remark != "" || deeper == nil {
		return remark
	}
	return fmt.Sprintf(" (did you mean %s?)", strings.Join(deeper, " or "))
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
				remark := ""
				if c.HasSubCommands() && len(args) > 0 {
					remark = commandRemark(c, args[0])
				}
				return &usageError{fmt.Errorf("%w%s; see `%s --help`", err, remark, c.CommandPath())}
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
type noSaleError struct{ name string }

func (e *noSaleError) Error() string {
	return fmt.Sprintf("there is no sale %s; `seckill sale list` lists them", e.name)
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
