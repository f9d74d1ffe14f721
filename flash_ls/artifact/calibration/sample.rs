//! A small formula engine for spreadsheets: tokenizer, parser and evaluator.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;
use std::vec::IntoIter;

#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Number(f64),
    Ident(String),
    Op(char),
    LParen,
    RParen,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FormulaError {
    UnexpectedChar(char),
    UnexpectedEnd,
    UnknownName(String),
    Cycle(String),
}

impl fmt::Display for FormulaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedChar(c) => write!(f, "unexpected character {c:?}"),
            Self::UnexpectedEnd => f.write_str("formula ends early"),
            Self::UnknownName(name) => write!(f, "unknown name `{name}`"),
            Self::Cycle(cell) => write!(f, "cell {cell} depends on itself"),
        }
    }
}

impl std::error::Error for FormulaError {}

type Result<T> = std::result::Result<T, FormulaError>;

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Lexer<'_> {
    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.chars.next_if(|&c| accept(c)) {
            text.push(c);
        }
        text
    }

    fn tokens(mut self) -> Result<Vec<Token>> {
        let mut out = Vec::with_capacity(16);
        while let Some(&c) = self.chars.peek() {
            let token = match c {
                ' ' | '\t' => {
                    self.chars.next();
                    continue;
                }
                '0'..='9' | '.' => {
                    let text = self.take_while(|c| c.is_ascii_digit() || c == '.');
                    Token::Number(text.parse().map_err(|_| FormulaError::UnexpectedChar(c))?)
                }
                'a'..='z' | 'A'..='Z' | '_' => {
                    Token::Ident(self.take_while(|c| c.is_alphanumeric() || c == '_'))
                }
                '+' | '-' | '*' | '/' => Token::Op(self.chars.next().unwrap()),
                '(' | ')' => {
                    self.chars.next();
                    if c == '(' { Token::LParen } else { Token::RParen }
                }
                other => return Err(FormulaError::UnexpectedChar(other)),
            };
            out.push(token);
        }
        Ok(out)
    }
}

enum Expr {
    Literal(f64),
    Cell(String),
    Binary(Box<Expr>, char, Box<Expr>),
}

struct Parser {
    tokens: Peekable<IntoIter<Token>>,
}

impl Parser {
    /// Precedence climbing: `*` and `/` bind tighter than `+` and `-`.
    fn expr(&mut self, min_prec: u8) -> Result<Expr> {
        let mut lhs = self.atom()?;
        while let Some(&Token::Op(op)) = self.tokens.peek() {
            let prec = if matches!(op, '*' | '/') { 2 } else { 1 };
            if prec < min_prec {
                break;
            }
            self.tokens.next();
            let rhs = self.expr(prec + 1)?;
            lhs = Expr::Binary(Box::new(lhs), op, Box::new(rhs));
        }
        Ok(lhs)
    }

    fn atom(&mut self) -> Result<Expr> {
        match self.tokens.next().ok_or(FormulaError::UnexpectedEnd)? {
            Token::Number(n) => Ok(Expr::Literal(n)),
            Token::Ident(name) => Ok(Expr::Cell(name.to_uppercase())),
            Token::LParen => {
                let inner = self.expr(0)?;
                match self.tokens.next() {
                    Some(Token::RParen) => Ok(inner),
                    _ => Err(FormulaError::UnexpectedEnd),
                }
            }
            _ => Err(FormulaError::UnexpectedEnd),
        }
    }
}

#[derive(Default)]
pub struct Sheet {
    cells: BTreeMap<String, Expr>,
}

impl Sheet {
    pub fn set(&mut self, cell: &str, formula: &str) -> Result<()> {
        let chars = formula.trim_start_matches('=').chars().peekable();
        let tokens = Lexer { chars }.tokens()?.into_iter().peekable();
        let expr = Parser { tokens }.expr(0)?;
        self.cells.insert(cell.to_uppercase(), expr);
        Ok(())
    }

    pub fn evaluate(&self, cell: &str) -> Result<f64> {
        self.value(cell, &mut HashSet::new())
    }

    fn value(&self, name: &str, visiting: &mut HashSet<String>) -> Result<f64> {
        let Some(expr) = self.cells.get(name) else {
            return Err(FormulaError::UnknownName(name.to_owned()));
        };
        if !visiting.insert(name.to_string()) {
            return Err(FormulaError::Cycle(name.to_owned()));
        }
        let result = self.eval(expr, visiting);
        visiting.remove(name);
        result
    }

    fn eval(&self, expr: &Expr, visiting: &mut HashSet<String>) -> Result<f64> {
        match expr {
            Expr::Literal(n) => Ok(*n),
            Expr::Cell(name) => self.value(name, visiting),
            Expr::Binary(lhs, op, rhs) => {
                let (a, b) = (self.eval(lhs, visiting)?, self.eval(rhs, visiting)?);
                Ok(match op {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    _ => a / b,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_cycles() {
        let mut sheet = Sheet::default();
        sheet.set("a1", "=b1 * 2").unwrap();
        sheet.set("b1", "=(a1 + 1) / 3.5").unwrap();
        assert!(matches!(sheet.evaluate("A1"), Err(FormulaError::Cycle(_))));
    }
}
